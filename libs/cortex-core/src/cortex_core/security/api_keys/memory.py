"""Keys in this process's memory: for tests, and for a service that is run by itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.security.api_keys.record import ApiKey, SecretHash
from cortex_core.security.api_keys.store import MAX_KEYS, Ended, KeyChanged, KeyNotFound, KeyRevoked, TooManyKeys

_KEPT: Final = 3_600_000_000  # microseconds


class MemoryApiKeys:
    """An `ApiKeys`."""

    def __init__(self, *, max_keys: int = MAX_KEYS, clock: Clock | None = None) -> None:
        self._max_keys = max_keys
        self._clock = clock or SystemClock()
        self._keys: dict[str, ApiKey] = {}
        self._ended: dict[str, int] = {}

    async def add(self, key: ApiKey) -> None:
        if sum(each.tenant == key.tenant for each in self._keys.values()) >= self._max_keys:
            raise TooManyKeys(self._max_keys)
        self._keys[key.id] = key

    async def find(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    async def get(self, tenant: str, key_id: str) -> ApiKey:
        found = self._keys.get(key_id)
        if found is None or found.tenant != tenant:
            raise KeyNotFound(key_id)
        return found

    async def page(self, tenant: str, *, limit: int, before: str | None = None) -> list[ApiKey]:
        theirs = sorted((key for key in self._keys.values() if key.tenant == tenant), key=lambda key: key.id)
        older = [key for key in reversed(theirs) if before is None or key.id < before]
        return older[:limit]

    async def revoke(self, tenant: str, key_id: str, at: datetime, by: str) -> ApiKey:
        key = await self.get(tenant, key_id)
        if key.revoked_at is not None:
            return key
        return self._end(replace(key, revoked_at=at, revoked_by=by))

    async def rotate(
        self, tenant: str, key_id: str, *, replaces: bytes, secrets: tuple[SecretHash, ...], at: datetime, by: str
    ) -> ApiKey:
        key = await self.get(tenant, key_id)
        if key.revoked_at is not None:
            raise KeyRevoked(key_id)
        if key.secrets[0].digest != replaces:
            raise KeyChanged(key_id)
        return self._end(replace(key, secrets=secrets, rotated_at=at, rotated_by=by))

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        for key_id, at in uses.items():
            key = self._keys.get(key_id)
            if key is not None and (key.last_used_at is None or key.last_used_at < at):
                self._keys[key_id] = replace(key, last_used_at=at)

    async def ended_since(self, at: int) -> Ended:
        return Ended(self._now(), tuple(key_id for key_id, moment in self._ended.items() if at and moment >= at))

    async def check(self) -> None:
        """It answers."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _end(self, key: ApiKey) -> ApiKey:
        self._keys[key.id] = key
        now = self._now()
        self._ended = {key_id: moment for key_id, moment in self._ended.items() if moment > now - _KEPT}
        self._ended[key.id] = now
        return key

    def _now(self) -> int:
        return round(self._clock.now().timestamp() * 1_000_000)
