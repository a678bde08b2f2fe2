"""AdaptiveLimit: places, what moves their number, and what does not. How it fares: test_adaptive_simulation.py."""

import asyncio
from collections import deque

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import AdaptiveLimit, OverLimit
from cortex_core.testing import FakeClock


class Busy(CortexError):
    code, kind = "test.busy", Kind.UNAVAILABLE


class Missing(CortexError):
    code, kind = "test.missing", Kind.NOT_FOUND


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def calls(limit: AdaptiveLimit, clock: FakeClock, *, rounds: int, inside: int, seconds: float) -> None:
    """`rounds` times `inside` calls at once, each of which takes `seconds`."""
    for _ in range(rounds):
        places = [limit.acquire() for _ in range(inside)]
        clock.pause(seconds)
        for place in places:
            limit.release(place)


def stream(limit: AdaptiveLimit, clock: FakeClock, *, calls: int, inside: int, seconds: float) -> None:
    """`calls` one after another, `inside` of them at a time: each that ends makes room for the next."""
    places = deque(limit.acquire() for _ in range(inside))
    for _ in range(calls):
        clock.pause(seconds / inside)
        limit.release(places.popleft())
        places.append(limit.acquire())
    for place in places:
        limit.release(place, asyncio.CancelledError())


def test_what_is_over_the_limit_is_shed_at_once(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=2, name="search", clock=clock)
    first = limit.acquire()
    limit.acquire()

    with pytest.raises(OverLimit, match="2 calls inside") as raised:
        limit.acquire()
    assert (raised.value.attempted, raised.value.retryable) == (False, True)
    assert raised.value.details == {"limit": "search"}

    limit.release(first)
    limit.acquire()
    assert limit.in_use == 2


def test_it_says_when_to_come_back(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=10, window=10, clock=clock)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    for _ in range(limit.limit):
        limit.acquire()

    with pytest.raises(OverLimit) as raised:
        limit.acquire()

    assert raised.value.retry_after == pytest.approx(0.1)


def test_it_grows_while_calls_take_no_longer_than_alone(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=10, clock=clock)
    calls(limit, clock, rounds=20, inside=2, seconds=0.1)

    calls(limit, clock, rounds=20, inside=10, seconds=0.1)

    assert limit.limit > 13


def test_it_does_not_grow_where_nobody_needs_it(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=10, clock=clock)

    calls(limit, clock, rounds=200, inside=4, seconds=0.1)

    assert limit.limit == 10


def test_it_falls_when_calls_take_longer_than_alone(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, clock=clock)
    calls(limit, clock, rounds=20, inside=1, seconds=0.1)

    calls(limit, clock, rounds=1, inside=20, seconds=0.3)

    assert limit.limit == 18  # half of 20 and √20, a fifth of the way


@pytest.mark.parametrize(("minimum", "maximum"), [(9, 11), (10, 10)])
def test_it_stays_within_its_bounds(clock: FakeClock, minimum: int, maximum: int) -> None:
    limit = AdaptiveLimit(10, minimum, maximum, probe_interval=1e6, clock=clock)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    calls(limit, clock, rounds=50, inside=9, seconds=0.1)
    assert limit.limit == maximum

    stream(limit, clock, calls=200, inside=9, seconds=5.0)
    assert limit.limit == minimum
    for _ in range(200):
        place = limit.acquire()
        clock.pause(1)
        limit.release(place, TimeoutError())
    assert limit.limit == minimum


def test_calls_that_take_no_time_are_no_trouble(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=10, clock=clock)

    calls(limit, clock, rounds=100, inside=10, seconds=0.0)

    assert limit.limit == 10  # nothing was learnt: every window asks for a look at the idle callee
    assert limit.in_use == 0


def test_a_drop_takes_a_tenth(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=100, clock=clock)

    limit.release(limit.acquire(), TimeoutError())

    assert limit.limit == 90


def test_the_drops_of_one_round_count_once(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=100, clock=clock)
    places = [limit.acquire() for _ in range(50)]
    clock.pause(1)
    for place in places:
        limit.release(place, Busy("too much"))
    assert limit.limit == 90

    limit.release(limit.acquire(), Busy("still too much"))
    assert limit.limit == 81


@pytest.mark.parametrize(
    "error", [Missing("not there"), ValueError("bug"), asyncio.CancelledError(), Busy("refused", attempted=False)]
)
def test_an_error_that_says_nothing_of_load_moves_nothing(clock: FakeClock, error: BaseException) -> None:
    limit = AdaptiveLimit(initial=100, window=1, clock=clock)

    limit.release(limit.acquire(), error)

    assert (limit.limit, limit.in_use) == (100, 0)


def test_fast_errors_do_not_pass_for_a_fast_callee(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, clock=clock)
    for _ in range(10):
        limit.release(limit.acquire(), Missing("in no time"))
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)

    calls(limit, clock, rounds=10, inside=20, seconds=0.1)

    assert limit.limit > 20


def test_what_a_drop_is_can_be_told(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=100, drops_on=lambda error: isinstance(error, LookupError), clock=clock)

    limit.release(limit.acquire(), TimeoutError())
    limit.release(limit.acquire(), LookupError())

    assert limit.limit == 90
