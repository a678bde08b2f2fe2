"""The chassis makes every block, and what each of them tells is a metric of one name in all services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from redis import Redis

from cortex_core.chassis import Config, Platform, Resilience, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import use_context
from cortex_core.observability import MetricsCollector
from cortex_core.resilience import BallotUnavailable, OverLimit, RetryBudget
from cortex_core.testing import FakeClock, eventually, serving


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def blocks(metrics: MetricsCollector, clock: FakeClock) -> Resilience:
    return Resilience(metrics, clock=clock, budget=RetryBudget(ratio=0.0, capacity=1.0))


@asynccontextmanager
async def nothing(platform: Platform) -> AsyncIterator[None]:
    yield None


async def fail() -> None:
    raise ConnectionError


async def test_a_timeout_says_whose_time_was_over(
    blocks: Resilience, metrics: MetricsCollector, clock: FakeClock
) -> None:
    timeout = blocks.timeout("stock", 2.0)
    for deadline in (None, clock.monotonic() + 1.0):
        with use_context(deadline=deadline):
            call = asyncio.create_task(timeout.execute(asyncio.Event().wait))
            await asyncio.sleep(0)
        await clock.advance(2.0)
        with pytest.raises(TimeoutError):
            await call

    counted = [metrics.value("cortex_timeouts_total", name="stock", whose=whose) for whose in ("own", "caller")]
    assert counted == [1, 1]


async def test_a_fallback_is_counted(blocks: Resilience, metrics: MetricsCollector) -> None:
    assert await blocks.fallback("stock", "none").execute(fail) == "none"
    assert await blocks.fallback("stock", make=type).execute(fail) is ConnectionError

    assert metrics.value("cortex_fallbacks_total", name="stock") == 2


async def test_hedges_are_counted_and_share_the_budget(
    blocks: Resilience, metrics: MetricsCollector, clock: FakeClock
) -> None:
    hedge = blocks.hedge("stock", 1.0, idempotent=True)
    for _ in range(2):
        over = asyncio.Event()
        call = asyncio.create_task(hedge.execute(over.wait))
        await asyncio.sleep(0)
        await clock.advance(1.0)
        over.set()
        await call

    counted = [metrics.value("cortex_hedges_total", name="stock", outcome=end) for end in ("begun", "refused")]
    assert counted == [1, 1]
    assert blocks.budget.tokens == 0


async def test_an_adaptive_limit_shows_its_places_and_whom_it_turns_away(
    blocks: Resilience, metrics: MetricsCollector, clock: FakeClock
) -> None:
    limit = blocks.adaptive_limit("stock", 4)
    assert metrics.value("cortex_adaptive_limit", name="stock") == 4

    places = [limit.acquire() for _ in range(4)]
    with pytest.raises(OverLimit):
        limit.acquire()
    await clock.advance(1.0)
    limit.release(places[0], TimeoutError())

    assert metrics.value("cortex_bulkhead_rejections_total", name="stock", outcome="full") == 1
    assert metrics.value("cortex_adaptive_limit", name="stock") == limit.limit < 4


class Votes:
    """A ballot that `agrees` for so many seconds, or does not answer."""

    def __init__(self) -> None:
        self.agrees = 0.0
        self.away = False
        self.cast_for: list[float] = []
        self.closed = False

    async def cast(self, seconds: float) -> float:
        if self.away:
            raise BallotUnavailable("away")
        self.cast_for.append(seconds)
        return self.agrees

    async def withdraw(self) -> None:
        return

    async def aclose(self) -> None:
        self.closed = True


class TestSharing:
    @pytest.fixture
    def votes(self) -> dict[str, Votes]:
        return {"early": Votes(), "late": Votes()}

    @pytest.fixture
    def shared(self, metrics: MetricsCollector, clock: FakeClock, votes: dict[str, Votes]) -> Resilience:
        return Resilience(metrics, clock=clock, ballots=votes.__getitem__)

    async def test_circuits_made_before_and_since_follow_their_replicas(
        self, shared: Resilience, metrics: MetricsCollector, votes: dict[str, Votes]
    ) -> None:
        shared.circuit_breaker("early")
        for vote in votes.values():
            vote.agrees = 5.0
        async with shared:
            shared.circuit_breaker("late")
            await eventually(
                lambda: all(metrics.value("cortex_circuit_breaker_state", name=name) == 2 for name in votes)
            )
            assert [metrics.value("cortex_circuit_breaker_shared", name=name) for name in votes] == [1, 1]

        assert [vote.closed for vote in votes.values()] == [True, True]
        assert [metrics.value("cortex_circuit_breaker_shared", name=name) for name in votes] == [0, 0]

    async def test_an_outage_of_the_ballot_is_shown_and_so_is_its_end(
        self, shared: Resilience, metrics: MetricsCollector, votes: dict[str, Votes], clock: FakeClock
    ) -> None:
        votes["early"].away = True
        shared.circuit_breaker("early")
        async with shared:
            await eventually(lambda: metrics.value("cortex_circuit_breaker_shared", name="early") == 0)
            votes["early"].away = False
            await clock.advance(0.5)
            await eventually(lambda: metrics.value("cortex_circuit_breaker_shared", name="early") == 1)

    async def test_without_ballots_nothing_is_shared(self, blocks: Resilience, metrics: MetricsCollector) -> None:
        async with blocks:
            blocks.circuit_breaker("early")

        assert metrics.value("cortex_circuit_breaker_shared", name="early") is None

    @pytest.mark.parametrize("share", [True, False])
    async def test_a_setting_shares_the_circuits_of_a_service_over_redis(self, redis_url: str, *, share: bool) -> None:
        settings = Config(env="test", redis_url=SecretStr(redis_url), share_circuits=share)
        app = create_app(settings, running=nothing, routers=[], bus=MemoryEventBus())
        app.state.platform.resilience.circuit_breaker("stock")
        with Redis.from_url(redis_url) as redis:
            key = "cortex:circuit:{service:stock}:members"
            async with serving(app):
                if share:
                    await eventually(lambda: redis.zcard(key) == 1)
                assert redis.zcard(key) == (1 if share else 0)
            assert redis.zcard(key) == 0
