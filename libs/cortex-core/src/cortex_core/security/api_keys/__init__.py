"""API keys: made, kept as keyed hashes, checked, rotated, revoked. Beside Redis in `cortex_core.security.redis`."""

from cortex_core.security.api_keys.checking import StoredKeys
from cortex_core.security.api_keys.endings import Endings
from cortex_core.security.api_keys.issuing import (
    InvalidKeyRequest,
    Issued,
    KeyDesk,
    KeyWish,
    LifeExceeded,
    ScopesExceeded,
    TooManySecrets,
)
from cortex_core.security.api_keys.memory import MemoryApiKeys
from cortex_core.security.api_keys.peppers import Peppers
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.store import (
    MAX_KEYS,
    MAX_PAGE,
    ApiKeys,
    Ended,
    KeyChanged,
    KeyNotFound,
    KeyRevoked,
    KeysUnavailable,
    TooManyKeys,
)
from cortex_core.security.api_keys.text import PATTERN, KeyText, is_key_id, new_key, read_key
from cortex_core.security.api_keys.uses import UseNotes

__all__ = [
    "MAX_KEYS",
    "MAX_PAGE",
    "PATTERN",
    "ApiKey",
    "ApiKeys",
    "Ended",
    "Endings",
    "InvalidKeyRequest",
    "Issued",
    "KeyChanged",
    "KeyDesk",
    "KeyNotFound",
    "KeyRevoked",
    "KeyText",
    "KeyWish",
    "KeysUnavailable",
    "LifeExceeded",
    "MemoryApiKeys",
    "Peppers",
    "ScopesExceeded",
    "SecretHash",
    "StoredKeys",
    "TooManyKeys",
    "TooManySecrets",
    "UseNotes",
    "is_key_id",
    "new_key",
    "read_key",
]
