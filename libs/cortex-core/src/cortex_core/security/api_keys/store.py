"""The role: where keys live. Contract: cortex_core/testing/contracts/apikeys.py, ApiKeysContract.

A key is looked up by its id alone where it is checked (who it belongs to is what it tells). Whatever administers keys
names a tenant, and another tenant's keys are not there for it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.text import is_key_id

MAX_KEYS: Final = 10_000
"""Keys a tenant may have, those that were revoked among them: they are kept."""

MAX_PAGE: Final = 100


class KeyNotFound(CortexError):
    """No key of this tenant has this id."""

    code, kind = "key.not-found", Kind.NOT_FOUND

    def __init__(self, key_id: str) -> None:
        named = f"there is no key {key_id}" if is_key_id(key_id) else "this is no key's id"  # it may be a key itself
        super().__init__(named)


class KeyRevoked(CortexError):
    """A key that was revoked does not come back: make another."""

    code, kind = "key.revoked", Kind.CONFLICT

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id} was revoked; make another")


class KeyChanged(CortexError):
    """Somebody rotated this key at the same moment, and was first."""

    code, kind = "key.changed", Kind.CONFLICT

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key {key_id} was rotated at the same moment; look at it and ask again")


class TooManyKeys(CortexError):
    """The tenant has as many keys as there may be."""

    code, kind = "key.too-many", Kind.CONFLICT

    def __init__(self, most: int) -> None:
        super().__init__(f"a tenant has at most {most} keys, revoked ones among them", limit=most)


class KeysUnavailable(CortexError):
    """Where keys live cannot be reached. Of a change it is not known whether it was made; asking again is safe."""

    code, kind = "key.unavailable", Kind.UNAVAILABLE


class Ended(NamedTuple):
    """What ended, and `at` which moment of the store's own time it was asked (microseconds)."""

    at: int
    key_ids: tuple[str, ...]


class ApiKeys(Protocol):
    """All methods raise KeysUnavailable. What changes a record is atomic."""

    async def add(self, key: ApiKey) -> None:
        """Raises TooManyKeys. Ids are unique by their making."""
        ...

    async def find(self, key_id: str) -> ApiKey | None:
        """Whoever's it is: for checking."""
        ...

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        """Raises KeyNotFound."""
        ...

    async def page(self, tenant: str, *, limit: int, before: str | None = None) -> list[ApiKey]:
        """The newest first, at most `limit` (1 to MAX_PAGE); those older than the key `before`, where it is given."""
        ...

    async def revoke(self, tenant: str, key_id: str, at: datetime, by: str) -> ApiKey:
        """Of several, the first counts, and the others change nothing. Raises KeyNotFound."""
        ...

    async def rotate(
        self, tenant: str, key_id: str, *, replaces: bytes, secrets: tuple[SecretHash, ...], at: datetime, by: str
    ) -> ApiKey:
        """`secrets` in place of those whose present one's digest is `replaces`. Raises KeyNotFound, KeyRevoked, and
        KeyChanged where another is present."""
        ...

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """The last use of each, by id. None goes back; ids that are not there are passed over."""
        ...

    async def ended_since(self, at: int) -> Ended:
        """Keys that were revoked, or lost a secret by rotation, from `at` on: a reading of an earlier answer (0: none
        yet, and what ended is nobody's to hear). Kept for an hour."""
        ...

    async def check(self) -> None:
        """Returns when the store answers."""
        ...

    async def aclose(self) -> None: ...
