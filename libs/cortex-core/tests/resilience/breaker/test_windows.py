"""Sliding windows: what they hold, and when they open a circuit."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.resilience import CircuitBreaker, CircuitCause, CircuitState, CountWindow, TimeWindow, WindowCounts
from cortex_core.testing import FakeClock


@pytest.fixture
def feed(clock: FakeClock) -> Callable[..., None]:
    """Lets calls through a breaker: `.` succeeds, `x` fails, `s` succeeds after 2 s, `X` fails after 2 s."""

    def through(breaker: CircuitBreaker, outcomes: str) -> None:
        def call(outcome: str) -> None:
            clock.pause(2.0 if outcome in "sX" else 0.0)
            if outcome in "xX":
                raise ConnectionError("down")

        for outcome in outcomes:
            with contextlib.suppress(ConnectionError):
                breaker.execute_sync(call, outcome)

    return through


class TestCountWindow:
    def test_it_opens_at_the_rate(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(10, failure_rate=0.5), clock=clock)

        feed(breaker, ".x.x.x.x.")
        assert breaker.state is CircuitState.CLOSED
        feed(breaker, "x")

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.FAILURE_RATE)

    def test_not_below_the_rate(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(10, failure_rate=0.5), clock=clock)

        feed(breaker, ".x.x.x.x..")

        assert (breaker.state, breaker.status.window) == (CircuitState.CLOSED, WindowCounts(10, 4, 0))

    def test_a_share_that_binary_fractions_miss_is_met_all_the_same(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(100, failure_rate=0.07, minimum_calls=100), clock=clock)

        feed(breaker, "x" * 7 + "." * 93)

        assert breaker.state is CircuitState.OPEN

    def test_not_before_there_are_enough_calls(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(10, failure_rate=0.1, minimum_calls=5), clock=clock)

        feed(breaker, "xxxx")
        assert breaker.state is CircuitState.CLOSED
        feed(breaker, ".")

        assert breaker.state is CircuitState.OPEN

    def test_what_slides_out_is_forgotten(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(4, failure_rate=0.75, minimum_calls=4), clock=clock)

        feed(breaker, "xx..xx..xx")

        assert (breaker.state, breaker.status.window) == (CircuitState.CLOSED, WindowCounts(4, 2, 0))

    def test_time_alone_forgets_nothing(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(4, failure_rate=1.0, minimum_calls=2), clock=clock)

        feed(breaker, "x")
        clock.pause(1e6)
        feed(breaker, "x")

        assert breaker.state is CircuitState.OPEN


class TestTimeWindow:
    def test_what_is_older_than_the_window_is_forgotten(self, clock: FakeClock, feed: Any) -> None:
        window = TimeWindow(seconds=10.0, buckets=5, failure_rate=0.5, minimum_calls=4)
        breaker = CircuitBreaker(window=window, clock=clock)

        feed(breaker, "xxx")
        clock.pause(10.0)
        feed(breaker, "x")

        assert (breaker.state, breaker.status.window) == (CircuitState.CLOSED, WindowCounts(1, 1, 0))

    def test_what_is_within_it_counts_together(self, clock: FakeClock, feed: Any) -> None:
        window = TimeWindow(seconds=10.0, buckets=5, failure_rate=0.5, minimum_calls=4)
        breaker = CircuitBreaker(window=window, clock=clock)

        feed(breaker, "xxx")
        clock.pause(9.999)
        feed(breaker, "x")

        assert breaker.state is CircuitState.OPEN

    def test_it_forgets_a_bucket_at_a_time(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=TimeWindow(seconds=3.0, buckets=3, failure_rate=1.0), clock=clock)

        held = []
        for _ in range(6):
            feed(breaker, "x.")
            held.append(breaker.status.window)
            clock.pause(1.0)

        assert held == [WindowCounts(2 * n, n, 0) for n in (1, 2, 3, 3, 3, 3)]

    def test_looking_forgets_too(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=TimeWindow(seconds=3.0, buckets=3, failure_rate=1.0), clock=clock)

        feed(breaker, "x.")
        clock.pause(1e9)

        assert breaker.status.window == WindowCounts(0, 0, 0)


class TestSlowCalls:
    def test_it_opens_at_the_share_of_slow_calls(self, clock: FakeClock, feed: Any) -> None:
        window = CountWindow(4, slow_rate=0.5, slow_after=1.0, minimum_calls=4)
        breaker = CircuitBreaker(window=window, clock=clock)

        feed(breaker, "s..")
        assert breaker.state is CircuitState.CLOSED
        feed(breaker, "s")

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.SLOW_RATE)

    def test_failures_alone_do_not_open_it_then(self, clock: FakeClock, feed: Any) -> None:
        window = CountWindow(4, slow_rate=0.5, slow_after=1.0, minimum_calls=4)
        breaker = CircuitBreaker(window=window, clock=clock)

        feed(breaker, "xxxx")

        assert breaker.state is CircuitState.CLOSED

    def test_a_slow_failure_is_both(self, clock: FakeClock, feed: Any) -> None:
        window = CountWindow(9, failure_rate=1.0, slow_rate=1.0, slow_after=1.0, minimum_calls=9)
        breaker = CircuitBreaker(window=window, clock=clock)

        feed(breaker, "X.xs")

        assert breaker.status.window == WindowCounts(4, 2, 2)


class TestBothKinds:
    def test_whichever_comes_first_opens_it(self, clock: FakeClock, feed: Any) -> None:
        window = CountWindow(10, failure_rate=0.5, minimum_calls=10)
        by_row = CircuitBreaker(failure_threshold=3, window=window, clock=clock)
        by_rate = CircuitBreaker(failure_threshold=3, window=window, clock=clock)

        feed(by_row, "xxx")
        feed(by_rate, ".x.x.x.x.x")

        assert by_row.status.cause is CircuitCause.FAILURES
        assert by_rate.status.cause is CircuitCause.FAILURE_RATE

    def test_a_window_alone_leaves_rows_alone(self, clock: FakeClock, feed: Any) -> None:
        breaker = CircuitBreaker(window=CountWindow(100, failure_rate=1.0, minimum_calls=100), clock=clock)

        feed(breaker, "x" * 50)

        assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("window", [CountWindow(4, failure_rate=1.0, minimum_calls=4), TimeWindow(failure_rate=1.0)])
def test_a_closed_circuit_begins_with_an_empty_window(window: Any, clock: FakeClock, feed: Any) -> None:
    breaker = CircuitBreaker(window=window, clock=clock)

    feed(breaker, "xxx")
    breaker.reset()

    assert breaker.status.window == WindowCounts(0, 0, 0)


def test_breakers_share_the_settings_of_a_window_and_not_what_it_holds(clock: FakeClock, feed: Any) -> None:
    window = CountWindow(4, failure_rate=1.0, minimum_calls=4)
    one, other = CircuitBreaker(window=window, clock=clock), CircuitBreaker(window=window, clock=clock)

    feed(one, "xxxx")

    assert (one.state, other.state) == (CircuitState.OPEN, CircuitState.CLOSED)


@given(
    calls=st.lists(st.tuples(st.integers(0, 700), st.booleans(), st.booleans()), max_size=60),
    buckets=st.integers(1, 7),
    size=st.integers(1, 12),
)
def test_windows_hold_what_a_list_of_all_calls_would(
    calls: list[tuple[int, bool, bool]], buckets: int, size: int
) -> None:
    """Times are in sixty-fourths of a second, so that no rounding tells the two apart."""
    width = 0.25
    by_time = TimeWindow(seconds=buckets * width, buckets=buckets, failure_rate=1.0).tally()
    by_count = CountWindow(size, failure_rate=1.0, minimum_calls=1).tally()
    now, history = 0.0, []

    for passed, failed, slow in calls:
        now += passed / 64
        history.append((now, failed, slow))
        by_time.record(now, failed, slow)
        by_count.record(now, failed, slow)

        recent = [call for call in history if call[0] // width > now // width - buckets]
        for tally, held in ((by_time, recent), (by_count, history[-size:])):
            assert tally.counts(now) == WindowCounts(len(held), sum(f for _, f, _ in held), sum(s for *_, s in held))


@pytest.mark.parametrize(
    ("kind", "arguments", "named"),
    [
        (CountWindow, {"calls": 0, "failure_rate": 0.5}, "calls"),
        (CountWindow, {"calls": 5, "failure_rate": 0.5, "minimum_calls": 6}, "minimum_calls"),
        (CountWindow, {"failure_rate": 0.0}, "failure_rate"),
        (CountWindow, {"failure_rate": 1.1}, "failure_rate"),
        (CountWindow, {"failure_rate": math.nan}, "failure_rate"),
        (CountWindow, {"slow_rate": 2.0, "slow_after": 1.0}, "slow_rate"),
        (CountWindow, {}, "failure_rate or slow_rate"),
        (CountWindow, {"slow_rate": 0.5}, "slow_rate and slow_after"),
        (CountWindow, {"failure_rate": 0.5, "slow_after": 1.0}, "slow_rate and slow_after"),
        (CountWindow, {"slow_rate": 0.5, "slow_after": 0}, "slow_after"),
        (CountWindow, {"slow_rate": 0.5, "slow_after": math.inf}, "slow_after"),
        (CountWindow, {"failure_rate": 0.5, "minimum_calls": 0}, "minimum_calls"),
        (TimeWindow, {"seconds": 0, "failure_rate": 0.5}, "seconds"),
        (TimeWindow, {"seconds": math.inf, "failure_rate": 0.5}, "seconds"),
        (TimeWindow, {"buckets": 0, "failure_rate": 0.5}, "buckets"),
        (TimeWindow, {}, "failure_rate or slow_rate"),
    ],
)
def test_a_bad_argument_is_named(kind: Any, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        kind(**arguments)
