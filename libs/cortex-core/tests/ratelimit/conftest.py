"""Limiters on the real Redis of this test worker, and what they tell."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.ratelimit import LeaseDetails, OutageDetails, RefusalDetails
from cortex_core.ratelimit.redis import DistributedRateLimiter
from cortex_core.testing import FakeClock, RedisServer, eventually

MakeLimiter = Callable[..., DistributedRateLimiter]


@dataclass
class RecordingHooks:
    """What was told, in order."""

    refusals: list[RefusalDetails] = field(default_factory=list)
    leases: list[LeaseDetails] = field(default_factory=list)
    outages: list[OutageDetails] = field(default_factory=list)

    def on_refusal(self, details: RefusalDetails) -> None:
        self.refusals.append(details)

    def on_lease(self, details: LeaseDetails) -> None:
        self.leases.append(details)

    def on_outage(self, details: OutageDetails) -> None:
        self.outages.append(details)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hooks() -> RecordingHooks:
    return RecordingHooks()


@pytest.fixture
async def make_limiter(redis_url: str) -> AsyncIterator[MakeLimiter]:
    """Makes limiters on the test's Redis; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(**settings: Any) -> DistributedRateLimiter:
            limiter = DistributedRateLimiter(redis_url, **{"timeout": 5.0, "cooldown": 0.02, **settings})
            stack.push_async_callback(limiter.aclose)
            return limiter

        yield make


def redis_time(server: RedisServer) -> float:
    seconds, microseconds = server.command("TIME")
    return int(seconds) + int(microseconds) / 1e6


async def pass_redis_time(server: RedisServer, seconds: float) -> None:
    until = redis_time(server) + seconds
    await eventually(lambda: redis_time(server) >= until)
