"""What the tests of leadership share: leases that can be slow, away or late, what was told, work under a lease."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cortex_core.eventsourcing import (
    Leadership,
    LeadershipDetails,
    Lease,
    MemoryEventStore,
)
from cortex_core.testing import FakeClock

TTL = 6.0
MARGIN = 1.5


@dataclass
class Leases:
    """The memory leases, with a store that can be slow, away, or answer late."""

    store: MemoryEventStore
    clock: FakeClock
    failing: Exception | None = None
    takes: float = 0.0
    renewals: int = 0

    async def acquire(self, name: str, holder: str, ttl: float) -> Lease | None:
        self._fail()
        lease = await self.store.leases.acquire(name, holder, ttl)
        await self._take()
        return lease

    async def renew(self, lease: Lease) -> Lease:
        self.renewals += 1
        self._fail()
        renewed = await self.store.leases.renew(lease)
        await self._take()
        return renewed

    async def release(self, lease: Lease) -> None:
        self._fail()
        await self.store.leases.release(lease)

    def _fail(self) -> None:
        if self.failing is not None:
            raise self.failing

    async def _take(self) -> None:
        if self.takes:
            await self.clock.sleep(self.takes)


@dataclass
class Told:
    turns: list[LeadershipDetails] = field(default_factory=list)

    def __call__(self, details: LeadershipDetails, /) -> None:
        self.turns.append(details)

    @property
    def words(self) -> list[str]:
        return [each.turn for each in self.turns]


class Work:
    """What is done under the lease: it never ends by itself. `outcome` is what came of the block around it."""

    def __init__(self, leadership: Leadership) -> None:
        self.leadership = leadership
        self.begun = asyncio.Event()
        self.cancelled_at: float | None = None
        self.lease: Lease | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.leadership.held() as self.lease:
            self.begun.set()
            await asyncio.get_running_loop().create_future()

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


Make = Callable[..., Leadership]


def maker(leases: Leases, clock: FakeClock, told: Told) -> Make:
    """Makes leaderships of `relay` that tell `told`."""

    def leadership(holder: str = "a", **more: Any) -> Leadership:
        options = {"ttl": TTL, "margin": MARGIN, "on_turn": told, **more}
        return Leadership(leases, "relay", holder=holder, clock=clock, **options)

    return leadership
