"""AdaptiveLimit's probes: when it looks at the idle callee, for how long, and what it learns."""

from collections import deque
from contextlib import suppress
from contextvars import copy_context

import pytest

from cortex_core.resilience import AdaptiveLimit, LimitDetails, OverLimit, Place
from cortex_core.testing import FakeClock


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


def saturate(limit: AdaptiveLimit, clock: FakeClock, each: list[float]) -> None:
    """Fills every place there is; a call takes so many seconds, however many there are."""
    places: deque[Place] = deque()
    for seconds in each:
        with suppress(OverLimit):
            while True:
                places.append(limit.acquire())
        place = places.popleft()
        clock.pause(max(0.0, place.began + seconds - clock.monotonic()))
        limit.release(place)


def test_under_steady_load_it_dips_to_see_the_callee_alone(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, maximum=20, probe_interval=10, clock=clock)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    clock.pause(10)

    calls(limit, clock, rounds=1, inside=20, seconds=0.1)

    places = [limit.acquire() for _ in range(5)]
    with pytest.raises(OverLimit):
        limit.acquire()
    assert limit.limit == 20
    for place in places:
        limit.release(place)


def test_it_ends_when_it_has_seen_enough(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, maximum=20, probe_interval=10, clock=clock)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    clock.pause(10)
    calls(limit, clock, rounds=1, inside=20, seconds=0.1)

    calls(limit, clock, rounds=2, inside=5, seconds=0.1)

    calls(limit, clock, rounds=1, inside=20, seconds=0.1)


def test_it_ends_after_a_while_whatever_hangs(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, maximum=20, probe_interval=10, clock=clock)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    hanging = [limit.acquire() for _ in range(10)]
    clock.pause(10)
    calls(limit, clock, rounds=1, inside=10, seconds=0.1)
    with pytest.raises(OverLimit):
        limit.acquire()

    clock.pause(0.5)

    for _ in range(10):
        limit.acquire()
    assert limit.in_use == 10 + len(hanging)


def test_what_ran_during_the_dip_does_not_count_as_a_window(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=20, minimum=4, clock=clock)
    calls(limit, clock, rounds=1, inside=20, seconds=0.1)  # never seen alone: it asks at once

    calls(limit, clock, rounds=4, inside=5, seconds=0.1)

    assert limit.limit == 20


def test_calls_that_are_being_looked_at_need_no_dip(clock: FakeClock) -> None:
    limit = AdaptiveLimit(initial=40, clock=clock)
    first = [limit.acquire() for _ in range(10)]

    calls(limit, clock, rounds=1, inside=30, seconds=0.1)

    assert [limit.acquire() for _ in range(30)]
    assert limit.in_use == 30 + len(first)


def test_a_limit_that_has_halved_asks_whether_it_is_the_callee_that_became_slower(clock: FakeClock) -> None:
    moves: list[LimitDetails] = []
    limit = AdaptiveLimit(initial=40, maximum=40, probe_interval=1e6, clock=clock, on_limit=moves.append)

    saturate(limit, clock, [0.1] * 200 + [0.3] * 2_000)

    assert 10 < min(each.new for each in moves) < 20
    assert moves[-1].long > 0.19
    assert limit.limit == 40


def test_a_call_that_never_ends_does_not_keep_it_from_looking_again(clock: FakeClock) -> None:
    """It began on the idle callee, with nine others: those ten were never all at an end."""
    moves: list[LimitDetails] = []
    limit = AdaptiveLimit(initial=40, maximum=40, probe_interval=10, clock=clock, on_limit=moves.append)
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    limit.acquire()
    calls(limit, clock, rounds=9, inside=1, seconds=0.1)

    saturate(limit, clock, [0.3] * 8_000)

    assert min(each.new for each in moves) < 20
    assert moves[-1].long > 0.19
    assert limit.limit == 40


def test_nor_when_little_is_asked_of_it(clock: FakeClock) -> None:
    moves: list[LimitDetails] = []
    limit = AdaptiveLimit(initial=4, maximum=8, probe_interval=10, clock=clock, on_limit=moves.append)
    limit.acquire()
    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    clock.pause(10)

    calls(limit, clock, rounds=10, inside=1, seconds=0.1)
    calls(limit, clock, rounds=20, inside=3, seconds=0.1)

    assert {round(each.long, 6) for each in moves} == {0.1}


def test_a_call_that_comes_back_late_is_not_missed(clock: FakeClock) -> None:
    """The ten it began with were given up, and others are looked at: it counts for none of them."""
    limit = AdaptiveLimit(initial=40, maximum=40, probe_interval=10, clock=clock)
    late = limit.acquire()
    calls(limit, clock, rounds=9, inside=1, seconds=0.1)
    clock.pause(10)
    calls(limit, clock, rounds=9, inside=1, seconds=0.1)

    limit.release(late)
    place = limit.acquire()

    assert place.batch is not late.batch
    assert place.batch is not None
    assert (place.batch.begun, place.batch.ended) == (10, 9)


@pytest.mark.parametrize("error", [None, LookupError("not there")])
def test_who_came_back_is_counted_again_and_who_did_not_is_not(clock: FakeClock, error: Exception | None) -> None:
    limit = AdaptiveLimit(initial=4, maximum=8, probe_interval=10, clock=clock)
    stuck = limit.acquire()
    clock.pause(10)

    alone, beside_another = limit.acquire(), limit.acquire()
    assert alone.batch is not None
    assert beside_another.batch is None

    limit.release(alone)
    limit.release(stuck, error)
    assert limit.acquire().batch is None


@pytest.mark.parametrize("given_up", ["before it left", "after it left"])
def test_what_was_given_up_and_left_without_a_word_is_forgotten_once_nobody_is_inside(
    clock: FakeClock, given_up: str
) -> None:
    limit = AdaptiveLimit(initial=4, maximum=8, probe_interval=10, clock=clock)
    copy_context().run(limit.__enter__)
    clock.pause(10)
    if given_up == "before it left":
        limit.release(limit.acquire())
    with pytest.raises(RuntimeError):
        limit.__exit__(None, None, None)

    alone, beside_another = limit.acquire(), limit.acquire()

    assert alone.batch is not None
    assert beside_another.batch is None
