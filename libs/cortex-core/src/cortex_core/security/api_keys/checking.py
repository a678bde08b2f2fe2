"""Whose a key is. Asked for what the memo does not know; what it knows needs nobody.

Owns the words of a refusal. They tell that a key was revoked or has expired only to who has it: to everybody else there
is no such key.
"""

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys.peppers import Peppers
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.store import ApiKeys, KeysUnavailable
from cortex_core.security.api_keys.text import read_key
from cortex_core.security.api_keys.uses import UseNotes
from cortex_core.security.errors import AuthenticationUnavailable, InvalidCredential


class StoredKeys:
    """A `KeyChecker`: by the record in the store, at every call."""

    def __init__(self, keys: ApiKeys, peppers: Peppers, uses: UseNotes, *, clock: Clock | None = None) -> None:
        self._keys = keys
        self._peppers = peppers
        self._uses = uses
        self._clock = clock or SystemClock()

    async def check(self, secret: str) -> Principal:
        """Raises InvalidCredential, AuthenticationUnavailable."""
        key = read_key(secret)
        if key is None:
            raise InvalidCredential("malformed", "this is no API key: mistyped, or cut off")
        try:
            record = await self._keys.find(key.key_id)
        except KeysUnavailable as error:
            raise AuthenticationUnavailable(retry_after=error.retry_after or 1.0) from error
        now = self._clock.now()
        held = record.holds(key, self._peppers, now) if record is not None else None
        if record is None or held is None:
            raise InvalidCredential("unknown", "there is no such API key")
        if record.revoked_at is not None:
            raise InvalidCredential("revoked", "this API key was revoked")
        if record.is_over(now):
            raise InvalidCredential("expired", "this API key has expired")
        self._uses.note(record.id)
        return _principal(record, held)


def _principal(key: ApiKey, held: SecretHash) -> Principal:
    """Nothing remembers it for longer than its secret holds: `expires_at` is the end of that."""
    until = key.holds_until(held)
    return Principal(
        key.subject,
        key.tenant,
        key.scopes,
        method="api-key",
        key_id=key.id,
        plan=key.plan,
        expires_at=None if until is None else until.timestamp(),
    )
