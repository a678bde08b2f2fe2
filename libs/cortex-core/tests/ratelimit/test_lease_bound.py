"""The bound of leases: at most the limit and one lease a worker, in any window. Reached, and never exceeded."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ratelimit import LeasedLimiter, RateLimiter, SlidingWindow, TokenBucket
from cortex_core.testing import FakeClock, eventually

from .leasing import Watched, heat
from .models import most_in_any_window


async def test_the_bound_is_reached(clock: FakeClock) -> None:
    """Each worker takes a lease just before a window, and spends all of it within; the callers who had it taken have
    left. Then the limit is spent as well."""
    inner, policy, size, workers = Watched(clock), SlidingWindow(1000, 1.0), 50, 4
    demand = (policy, "client")
    leased = [LeasedLimiter(inner, size=size, ttl=10, hot=1, clock=clock) for _ in range(workers)]
    for worker in leased:
        await worker.acquire(demand, cost=size)  # hot enough for a lease of full size
        inner.open.clear()
        inner.calls.clear()
        gone = asyncio.ensure_future(worker.acquire(demand))
        await eventually(lambda: inner.calls == [size])
        gone.cancel()
        inner.open.set()
        await asyncio.gather(gone, return_exceptions=True)
    await clock.advance(0.001)  # the window begins

    inner.calls.clear()
    spent = sum([await heat(worker, size, demand) for worker in leased])
    assert inner.calls == []
    await clock.advance(0.999)
    charged = sum(inner.inner.decide(demand).allowed for _ in range(2000))

    assert spent + charged == policy.limit + workers * size


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 400_000), st.integers(1, 30), st.integers(1, 3)), max_size=40
)


@given(steps=STEPS, size=st.integers(1, 12), ttl=st.sampled_from([0.05, 0.5, 5.0]), limit=st.sampled_from([20, 200]))
async def test_the_bound_is_never_exceeded(steps: Any, size: int, ttl: float, limit: int) -> None:
    """Three workers, whatever they ask and when: at most the limit and one lease a worker, in any window."""
    clock, policy, workers = FakeClock(), SlidingWindow(limit, 1.0), 3
    shared = RateLimiter(clock=clock)
    leased = [LeasedLimiter(shared, size=size, ttl=ttl, hot=2, clock=clock) for _ in range(workers)]
    admitted: list[tuple[int, int]] = []

    for worker, passed, burst, cost in steps:
        await clock.advance(passed / 1e6)
        decisions = [await leased[worker].acquire((policy, "client"), cost=cost) for _ in range(burst)]
        admitted.append((round(clock.monotonic() * 1e9), cost * sum(each.allowed for each in decisions)))

    assert most_in_any_window(admitted, 10**9) <= limit + workers * size


@given(steps=STEPS, size=st.integers(1, 12))
async def test_the_bound_holds_for_a_bucket_too(steps: Any, size: int) -> None:
    clock, policy, workers = FakeClock(), TokenBucket(rate=10, burst=20), 3
    shared = RateLimiter(clock=clock)
    leased = [LeasedLimiter(shared, size=size, ttl=5, hot=2, clock=clock) for _ in range(workers)]
    admitted: list[tuple[float, int]] = []

    for worker, passed, burst, cost in steps:
        await clock.advance(passed / 1e6)
        decisions = [await leased[worker].acquire((policy, "client"), cost=cost) for _ in range(burst)]
        admitted.append((clock.monotonic(), cost * sum(each.allowed for each in decisions)))

    for first, (begin, _) in enumerate(admitted):
        units = 0
        for moment, cost in admitted[first:]:
            units += cost
            assert units <= 20 + 10 * (moment - begin) + workers * size + 1e-6


async def test_a_steady_client_at_twice_its_limit_gets_its_fair_share(clock: FakeClock) -> None:
    limiter = LeasedLimiter(RateLimiter(clock=clock), size=20, clock=clock)
    policy, seconds = SlidingWindow(100, 1.0), 20

    admitted = 0
    for _ in range(seconds * 200):
        admitted += (await limiter.acquire((policy, "client"))).allowed
        await clock.advance(0.005)

    assert 0.98 * 100 * seconds <= admitted <= 100 * (seconds + 1) + 20
