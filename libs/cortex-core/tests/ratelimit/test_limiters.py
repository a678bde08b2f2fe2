"""The contract, over every limiter."""

import pytest

from cortex_core.ratelimit import LeasedLimiter, Limiter, RateLimiter
from cortex_core.testing import FakeClock, RedisServer
from cortex_core.testing.contracts.ratelimit import PassTime, RateLimiterContract

from .conftest import MakeLimiter, pass_redis_time


class TestRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self, clock: FakeClock) -> Limiter:
        return RateLimiter(clock=clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


class TestDistributedRateLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self, make_limiter: MakeLimiter) -> Limiter:
        return make_limiter()

    @pytest.fixture
    def pass_time(self, redis_server: RedisServer) -> PassTime:
        async def passing(seconds: float) -> None:
            await pass_redis_time(redis_server, seconds)

        return passing


class TestLeasedLimiter(RateLimiterContract):
    """With the leases it takes by itself: none of these keys gets hot enough to notice."""

    @pytest.fixture
    def limiter(self, clock: FakeClock) -> Limiter:
        return LeasedLimiter(RateLimiter(clock=clock), clock=clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


class TestLeasedLimiterThatLeasesAtOnce(RateLimiterContract):
    """Every key is hot from its first call on: what is not about the figures of one call has to hold all the same."""

    @pytest.fixture
    def limiter(self, clock: FakeClock) -> Limiter:
        return LeasedLimiter(RateLimiter(clock=clock), hot=1, ttl=3600, clock=clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance
