"""Leases and calls that come at once, want several things at once, or leave early."""

import asyncio

import pytest

from cortex_core.ratelimit import FixedWindow, LeasedLimiter, SlidingWindow
from cortex_core.testing import FakeClock, eventually

from .conftest import RecordingHooks
from .leasing import CLIENT, Watched, heat


@pytest.fixture
def inner(clock: FakeClock) -> Watched:
    return Watched(clock)


@pytest.fixture
def limiter(inner: Watched, clock: FakeClock, hooks: RecordingHooks) -> LeasedLimiter:
    return LeasedLimiter(inner, size=50, ttl=2.0, hot=10, clock=clock, hooks=hooks)


async def test_callers_at_once_wait_for_one_lease(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 9)
    inner.calls.clear()
    inner.open.clear()

    calls = [asyncio.ensure_future(limiter.acquire(CLIENT)) for _ in range(10)]
    await eventually(lambda: inner.calls)
    assert inner.calls == [10]
    inner.open.set()

    assert all(decision.allowed for decision in await asyncio.gather(*calls))
    assert len(inner.calls) == 1


async def test_a_caller_who_leaves_takes_nobodys_lease_along(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 9)
    inner.open.clear()
    first, second = (asyncio.ensure_future(limiter.acquire(CLIENT)) for _ in range(2))
    await eventually(lambda: len(inner.calls) == 10)

    first.cancel()
    await asyncio.sleep(0)
    inner.open.set()

    assert (await second).allowed
    assert first.cancelled()


async def test_of_several_demands_those_in_hand_are_paid_from_it(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 45)
    inner.calls.clear()
    cold = (FixedWindow(3, 60, name="cold"), "user")

    decisions = [await limiter.acquire(CLIENT, cold) for _ in range(4)]

    assert [decision.allowed for decision in decisions] == [True, True, True, False]
    assert decisions[0].policy.name == "cold"
    assert inner.calls == [1] * 4


async def test_all_in_hand_asks_nobody(limiter: LeasedLimiter, inner: Watched) -> None:
    other = (FixedWindow(900, 60, name="other"), "client")
    for demand in (CLIENT, other):
        await heat(limiter, 45, demand)
    inner.calls.clear()

    decision = await limiter.acquire(CLIENT, other)

    assert decision.allowed
    assert decision.policy.name == "other"
    assert inner.calls == []


async def test_what_was_reserved_for_a_refused_call_is_given_back(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 45)
    before = (await limiter.acquire(CLIENT)).remaining
    cold = (FixedWindow(1, 60, name="cold"), "user")
    await inner.inner.acquire(cold)

    assert not (await limiter.acquire(CLIENT, cold)).allowed

    assert (await limiter.acquire(CLIENT)).remaining == before - 1


async def test_while_some_of_a_lease_is_reserved_no_other_is_taken(limiter: LeasedLimiter, inner: Watched) -> None:
    """Else two leases of one key could be spent in one window."""
    await heat(limiter, 45)
    left = sum(inner.calls) - 45
    inner.open.clear()
    reserved = asyncio.ensure_future(limiter.acquire(CLIENT, (FixedWindow(1, 60, name="cold"), "user")))
    await asyncio.sleep(0)
    for _ in range(left - 1):
        await limiter.acquire(CLIENT)
    inner.calls.clear()

    late = asyncio.ensure_future(limiter.acquire(CLIENT))
    await eventually(lambda: inner.calls)
    inner.open.set()

    assert inner.calls == [1]
    assert (await late).allowed
    assert (await reserved).allowed


async def test_a_call_that_is_cancelled_gives_back_what_it_reserved(limiter: LeasedLimiter, inner: Watched) -> None:
    await heat(limiter, 45)
    before = (await limiter.acquire(CLIENT)).remaining
    inner.open.clear()
    call = asyncio.ensure_future(limiter.acquire(CLIENT, (FixedWindow(1, 60, name="cold"), "user")))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert (await limiter.acquire(CLIENT)).remaining == before - 1


async def test_of_two_keys_under_one_policy_neither_is_blamed(limiter: LeasedLimiter, inner: Watched) -> None:
    policy = SlidingWindow(5, 60)
    for _ in range(5):
        await inner.inner.acquire((policy, "tenant"))

    assert not (await limiter.acquire((policy, "tenant"), (policy, "user"))).allowed
    assert (await limiter.acquire((policy, "user"))).allowed
