"""Leases: round trips saved, and trouble. Their bound: test_lease_bound.py; calls at once: test_leases_at_once.py."""

import asyncio
from typing import Any

import pytest

from cortex_core.ratelimit import (
    FixedWindow,
    LeaseDetails,
    LeasedLimiter,
    LimiterUnavailable,
    RateLimiter,
    RefusalDetails,
    SlidingWindow,
)
from cortex_core.testing import FakeClock

from .conftest import RecordingHooks
from .leasing import CLIENT, Watched, heat


@pytest.fixture
def inner(clock: FakeClock) -> Watched:
    return Watched(clock)


@pytest.fixture
def limiter(inner: Watched, clock: FakeClock, hooks: RecordingHooks) -> LeasedLimiter:
    return LeasedLimiter(inner, size=50, ttl=2.0, hot=10, clock=clock, hooks=hooks)


async def test_a_key_that_is_not_hot_is_counted_one_by_one(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 9)

    assert inner.calls == [1] * 9


async def test_a_hot_key_is_leased(limiter: LeasedLimiter, inner: Watched, hooks: RecordingHooks) -> None:
    assert await heat(limiter, 200) == 200

    assert inner.calls[:10] == [1] * 9 + [10]
    assert len(inner.calls) < 20
    assert hooks.leases[0] == LeaseDetails("default", 10, 2.0)
    assert max(lease.size for lease in hooks.leases) == 50


async def test_a_key_that_has_cooled_is_counted_one_by_one_again(
    limiter: LeasedLimiter, inner: Watched, clock: FakeClock
) -> None:
    await heat(limiter, 30)
    await clock.advance(3)
    inner.calls.clear()

    await heat(limiter, 5)

    assert inner.calls == [1] * 5


async def test_the_second_before_still_counts_as_heat(limiter: LeasedLimiter, inner: Watched, clock: FakeClock) -> None:
    await heat(limiter, 30)
    await clock.advance(1.5)
    await heat(limiter, 30)
    inner.calls.clear()
    await clock.advance(1.2)

    await heat(limiter, 40)

    assert inner.calls[0] > 1


async def test_a_lease_takes_at_most_half_of_what_remains(clock: FakeClock, inner: Watched) -> None:
    limiter = LeasedLimiter(inner, size=100, hot=1, clock=clock)
    demand = (SlidingWindow(100, 60), "client")
    await limiter.acquire(demand, cost=40)

    admitted = await heat(limiter, 150, demand)

    assert admitted == 60
    assert inner.calls[:4] == [40, 30, 15, 7]


async def test_what_is_not_spent_in_time_is_not_spent(limiter: LeasedLimiter, inner: Watched, clock: FakeClock) -> None:
    await heat(limiter, 45)
    left = sum(inner.calls) - 45
    assert left > 0
    await clock.advance(2.0)
    inner.calls.clear()

    await heat(limiter, 1)

    assert inner.calls == [1]


async def test_a_flood_of_refused_calls_costs_no_round_trips(
    limiter: LeasedLimiter, inner: Watched, hooks: RecordingHooks, clock: FakeClock
) -> None:
    policy = SlidingWindow(5, 60)
    await heat(limiter, 6, (policy, "client"))
    inner.calls.clear()
    await clock.advance(15)

    decisions = [await limiter.acquire((policy, "client")) for _ in range(1000)]

    assert inner.calls == []
    assert {(each.allowed, each.remaining, each.retry_after, each.reset_after) for each in decisions} == {
        (False, 0, 45.0, 45.0)
    }
    assert hooks.refusals[-1] == RefusalDetails("default", "remembered", 45.0)


async def test_a_refusal_is_forgotten_in_its_time(limiter: LeasedLimiter, clock: FakeClock) -> None:
    policy = SlidingWindow(5, 60)
    await heat(limiter, 6, (policy, "client"))

    await clock.advance(60)

    assert await heat(limiter, 6, (policy, "client")) == 5


async def test_a_refusal_holds_for_what_costs_as_much_and_not_for_less(limiter: LeasedLimiter, inner: Watched) -> None:
    policy = SlidingWindow(5, 60)
    await heat(limiter, 3, (policy, "client"))
    assert not (await limiter.acquire((policy, "client"), cost=4)).allowed
    inner.calls.clear()

    assert not (await limiter.acquire((policy, "client"), cost=5)).allowed
    assert inner.calls == []
    assert (await limiter.acquire((policy, "client"), cost=2)).allowed


async def test_a_refusal_is_remembered_from_when_it_was_asked_for(
    limiter: LeasedLimiter, inner: Watched, clock: FakeClock
) -> None:
    """Its answer may have waited for a busy loop, and the client has waited along."""
    demand = (FixedWindow(5, 60), "client")
    await heat(limiter, 5, demand)
    inner.open.clear()
    refused = asyncio.ensure_future(limiter.acquire(demand))
    await asyncio.sleep(0)
    left = inner.inner.decide(demand).retry_after
    inner.open.set()
    inner.delay = 5.0
    assert not (await refused).allowed
    inner.delay = 0.0
    inner.calls.clear()

    await clock.advance(left - 5.0)

    assert (await limiter.acquire(demand)).allowed
    assert inner.calls == [1]


async def test_a_lease_that_was_long_on_its_way_can_be_spent(
    limiter: LeasedLimiter, inner: Watched, clock: FakeClock
) -> None:
    """Else it would be taken again and again, and never spent."""
    await heat(limiter, 9)
    inner.calls.clear()
    inner.delay = 2.5

    assert (await limiter.acquire(CLIENT)).allowed

    assert inner.calls == [10]


async def test_a_lease_is_a_thousand_units_at_most_if_nothing_else_is_said(clock: FakeClock, inner: Watched) -> None:
    limiter = LeasedLimiter(inner, clock=clock)

    await heat(limiter, 9_000, (SlidingWindow(10**6, 60), "client"))

    assert max(inner.calls) == 1_000


async def test_the_longest_of_several_refusals_is_told(limiter: LeasedLimiter, inner: Watched) -> None:
    short, long = FixedWindow(1, 10, name="short"), FixedWindow(1, 100, name="long")
    for policy in (short, long):
        await heat(limiter, 2, (policy, "client"))
    inner.calls.clear()

    refused = await limiter.acquire((short, "client"), (long, "client"))

    assert (refused.allowed, refused.policy) == (False, long)
    assert inner.calls == []


async def test_an_outage_is_the_limiters_inside_to_tell(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 9)
    inner.error = LimiterUnavailable("away", retry_after=1)

    for _ in range(3):
        with pytest.raises(LimiterUnavailable):
            await limiter.acquire(CLIENT)

    inner.error = None
    assert await heat(limiter, 50) == 50


async def test_a_lease_that_is_refused_leaves_the_call_its_chance(
    limiter: LeasedLimiter, inner: Watched, clock: FakeClock
) -> None:
    """Another worker has taken what this one believed to be there."""
    await heat(limiter, 9)
    inner.inner.decide(CLIENT, cost=1000 - 9 - 2)

    assert await heat(limiter, 5) == 2


async def test_a_crowd_of_keys_takes_bounded_memory_and_keeps_the_bound(clock: FakeClock, inner: Watched) -> None:
    limiter = LeasedLimiter(inner, size=10, hot=1, max_keys=16, clock=clock)
    policy = SlidingWindow(30, 60)

    admitted = 0
    for _ in range(20):
        admitted += await heat(limiter, 3, (policy, "client"))
        for number in range(50):
            await limiter.acquire((policy, f"made up {number}"))

    assert admitted <= 30
    assert len(limiter._purses) <= 16


async def test_a_key_that_somebody_counts_on_is_not_forgotten(clock: FakeClock, inner: Watched) -> None:
    limiter = LeasedLimiter(inner, size=10, hot=1, max_keys=16, clock=clock)
    policy = SlidingWindow(100, 60)
    inner.open.clear()
    calls = [asyncio.ensure_future(limiter.acquire((policy, f"key {number}"), cost=2)) for number in range(20)]
    await asyncio.sleep(0)

    assert len(limiter._purses) == 20
    inner.open.set()
    await asyncio.gather(*calls)
    await limiter.acquire((policy, "newcomer"))

    assert len(limiter._purses) == 20


async def test_a_key_forgotten_in_the_middle_of_a_call_is_not_leased(clock: FakeClock, inner: Watched) -> None:
    """Its tokens could not be found again, and the key would be leased a second time."""
    limiter = LeasedLimiter(inner, size=10, hot=1, max_keys=16, clock=clock)
    policy = SlidingWindow(100, 60)
    await limiter.acquire((policy, "first"), (policy, "second"), cost=4)
    inner.calls.clear()
    inner.open.clear()
    both = asyncio.ensure_future(limiter.acquire((policy, "first"), (policy, "second"), cost=2))
    await asyncio.sleep(0)
    limiter._purses.pop((policy.id, "second"))
    inner.open.set()

    assert (await both).allowed
    assert inner.calls == [6, 2], "a lease, and a call that is counted by itself"


async def test_closing_closes_the_limiter_inside(limiter: LeasedLimiter, inner: Watched) -> None:
    await limiter.aclose()

    assert inner.closed


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"size": 0}, "size"),
        ({"hot": 0}, "hot"),
        ({"max_keys": 15}, "max_keys"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": float("inf")}, "ttl"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LeasedLimiter(RateLimiter(), **settings)
