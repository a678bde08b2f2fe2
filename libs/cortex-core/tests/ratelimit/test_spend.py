"""`spend`: what a limiter can say at once, for who cannot await. It never says more than `acquire` would."""

from cortex_core.ratelimit import LeasedLimiter, RateLimiter, SlidingWindow
from cortex_core.testing import FakeClock

PER_CLIENT = SlidingWindow(1_000, 60.0)
OTHER = SlidingWindow(10, 60.0, "other")


async def leased(clock: FakeClock) -> LeasedLimiter:
    """With a lease of `a` in hand."""
    limiter = LeasedLimiter(RateLimiter(clock=clock), hot=2, clock=clock)
    for _ in range(20):
        await limiter.acquire((PER_CLIENT, "a"))
    return limiter


class TestLeased:
    async def test_of_who_is_not_known_nothing_is_said_and_nothing_is_spent(self) -> None:
        limiter = LeasedLimiter(RateLimiter(clock=(clock := FakeClock())), clock=clock)

        assert limiter.spend((PER_CLIENT, "a")) is None
        assert (await limiter.acquire((PER_CLIENT, "a"))).remaining == 999

    async def test_what_is_in_hand_is_spent_as_acquire_would(self) -> None:
        clock = FakeClock()
        limiter = await leased(clock)

        decision = limiter.spend((PER_CLIENT, "a"))

        assert decision is not None
        assert decision.allowed
        again = await limiter.acquire((PER_CLIENT, "a"))
        assert again.remaining == decision.remaining - 1

    async def test_it_ends_with_the_lease(self) -> None:
        clock = FakeClock()
        limiter = await leased(clock)
        spent = 0
        while (decision := limiter.spend((PER_CLIENT, "a"))) is not None:
            assert decision.allowed
            spent += 1
        assert 0 < spent < 1_000
        await clock.advance(2.0)
        assert limiter.spend((PER_CLIENT, "a")) is None

    async def test_a_refusal_that_holds_is_told(self) -> None:
        clock = FakeClock()
        limiter = LeasedLimiter(RateLimiter(clock=clock), clock=clock)
        for _ in range(11):
            await limiter.acquire((OTHER, "a"))

        refusal = limiter.spend((OTHER, "a"))

        assert refusal is not None
        assert not refusal.allowed
        assert refusal.retry_after > 0
        await clock.advance(61.0)
        assert limiter.spend((OTHER, "a")) is None

    async def test_of_two_both_are_spent_or_neither(self) -> None:
        clock = FakeClock()
        limiter = await leased(clock)
        assert limiter.spend((PER_CLIENT, "a"), (OTHER, "a")) is None

        before = limiter.spend((PER_CLIENT, "a"))
        assert limiter.spend((PER_CLIENT, "a"), (OTHER, "a")) is None
        after = limiter.spend((PER_CLIENT, "a"))

        assert before is not None
        assert after is not None
        assert after.remaining == before.remaining - 1


def test_in_memory_everything_is_in_hand() -> None:
    limiter = RateLimiter(clock=FakeClock())

    spent = [limiter.spend((OTHER, "a")).allowed for _ in range(11)]

    assert spent == [True] * 10 + [False]
