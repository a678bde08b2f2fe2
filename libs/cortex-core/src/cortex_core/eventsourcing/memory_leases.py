"""Leases in memory: for tests, and for a service of one process."""

from dataclasses import replace
from datetime import timedelta

from cortex_core.eventsourcing.leases import Lease, LeaseLost, check_terms
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

Key = tuple[str, str]


class MemoryLeases:
    """`Leases` over two dictionaries: the epochs there have been, and who holds what."""

    def __init__(self, clock: Clock, epochs: dict[Key, int]) -> None:
        """`epochs` are shared with the store whose writers they fence."""
        self._clock = clock
        self._epochs = epochs
        self._held: dict[Key, Lease] = {}

    async def acquire(self, name: str, holder: str, ttl: float) -> Lease | None:
        check_terms(name, holder, ttl)
        key, now = (current().tenant, name), self._clock.now()
        held = self._held.get(key)
        if held is not None and held.holder != holder and held.expires_at > now:
            return None
        self._epochs[key] = self._epochs.get(key, 0) + 1
        self._held[key] = Lease(name, holder, self._epochs[key], now + timedelta(seconds=ttl), ttl)
        return self._held[key]

    async def renew(self, lease: Lease) -> Lease:
        key, now = (current().tenant, lease.name), self._clock.now()
        held = self._held.get(key)
        if held is None or not _same(held, lease) or held.expires_at <= now:
            raise LeaseLost(lease)
        self._held[key] = replace(lease, expires_at=now + timedelta(seconds=lease.ttl))
        return self._held[key]

    async def release(self, lease: Lease) -> None:
        key = (current().tenant, lease.name)
        held = self._held.get(key)
        if held is not None and _same(held, lease):
            del self._held[key]


def _same(held: Lease, lease: Lease) -> bool:
    return (held.holder, held.epoch) == (lease.holder, lease.epoch)
