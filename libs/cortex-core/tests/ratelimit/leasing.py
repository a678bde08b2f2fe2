"""What tests of leases share."""

import asyncio
from typing import Final

from cortex_core.ratelimit import Decision, Demand, Limiter, RateLimiter, SlidingWindow
from cortex_core.testing import FakeClock

HOT: Final = SlidingWindow(1000, 60)
CLIENT: Final = (HOT, "client")


class Watched:
    """A limiter whose calls are counted, and held until `open` is set. Its answers are `delay` seconds old."""

    def __init__(self, clock: FakeClock) -> None:
        self.inner = RateLimiter(clock=clock)
        self.clock = clock
        self.delay = 0.0
        self.calls: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.closed = False

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision:
        self.calls.append(cost)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        decision = self.inner.decide(*demands, cost=cost)
        self.clock.pause(self.delay)
        return decision

    async def check_limit(self, key: str, limit: int, window: float) -> Decision:
        return await self.inner.check_limit(key, limit, window)

    async def aclose(self) -> None:
        self.closed = True


async def heat(limiter: Limiter, times: int, demand: Demand = CLIENT) -> int:
    """How many of `times` calls were admitted."""
    return sum([(await limiter.acquire(demand)).allowed for _ in range(times)])
