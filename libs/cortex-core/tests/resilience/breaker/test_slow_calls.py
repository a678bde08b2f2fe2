"""A backend that hangs is seen by its slowness, whoever ends the calls: callers may have less patience than we."""

import asyncio
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind, use_context
from cortex_core.resilience import (
    BulkheadTimeout,
    CallOutcome,
    CircuitBreaker,
    CircuitCall,
    CircuitCause,
    CircuitState,
    CountWindow,
    DeadlineExceeded,
    Refusal,
    Timeout,
)
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


def slow_breaker(clock: FakeClock, **settings: Any) -> CircuitBreaker:
    window = CountWindow(10, slow_rate=0.5, slow_after=1.0, minimum_calls=4)
    return CircuitBreaker(window=window, clock=clock, **settings)


async def test_callers_whose_deadlines_are_shorter_than_the_time_out_show_it(clock: FakeClock) -> None:
    breaker, timeout = slow_breaker(clock), Timeout(30.0, clock=clock)

    async def hang() -> None:
        await asyncio.get_running_loop().create_future()

    async def caller() -> None:
        with use_context(deadline=clock.monotonic() + 2.0):
            await breaker.execute(timeout.execute, hang)

    for _ in range(4):
        task = asyncio.create_task(caller())
        await clock.advance(2.0)
        with pytest.raises(DeadlineExceeded):
            await task

    assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.SLOW_RATE)


@pytest.mark.parametrize("ending", ["cancelled", "none of its failures", "refused after it began"])
async def test_what_says_nothing_but_lasted_too_long_counts_as_slow(
    clock: FakeClock, take_off: Any, ending: str
) -> None:
    heard: list[CircuitCall] = []
    breaker = slow_breaker(clock, is_failure=lambda error: None, on_call=heard.append)
    flight = await take_off(breaker)

    await clock.advance(1.001)
    if ending == "cancelled":
        await flight.cancel()
    else:
        await flight.land(Down("ours") if ending == "none of its failures" else Refusal("late", attempted=True))

    counts = breaker.status.window
    assert counts is not None
    assert (counts.calls, counts.failures, counts.slow) == (1, 0, 1)
    assert [(call.outcome, call.slow) for call in heard] == [(CallOutcome.NEITHER, True)]


@pytest.mark.parametrize("seconds", [1.0, 1.001])
async def test_what_never_began_was_not_slow(clock: FakeClock, take_off: Any, seconds: float) -> None:
    breaker = slow_breaker(clock)
    flight = await take_off(breaker)

    await clock.advance(seconds)
    await flight.land(BulkheadTimeout("no place within a second"))

    counts = breaker.status.window
    assert counts is not None
    assert counts.calls == 0


async def test_what_is_left_in_time_is_not_counted(clock: FakeClock, take_off: Any) -> None:
    breaker = slow_breaker(clock)
    flight = await take_off(breaker)

    await clock.advance(1.0)
    await flight.cancel()

    counts = breaker.status.window
    assert counts is not None
    assert counts.calls == 0


async def test_a_row_of_failures_is_not_ended_by_one(clock: FakeClock, take_off: Any) -> None:
    breaker = slow_breaker(clock, failure_threshold=3)
    for _ in range(2):
        await (await take_off(breaker)).land(Down("down"))
    flight = await take_off(breaker)

    await clock.advance(1.001)
    await flight.cancel()

    assert breaker.status.failures == 2


class TestSlowProbe:
    WINDOW = CountWindow(10, slow_rate=1.0, slow_after=1.0, minimum_calls=10)

    async def test_a_slow_success_is_a_failed_probe(self, clock: FakeClock, opened: Any, take_off: Any) -> None:
        breaker = await opened(clock, window=self.WINDOW)
        await clock.advance(5.0)
        probe = await take_off(breaker)

        await clock.advance(1.001)
        await probe.land()

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.PROBES_FAILED)

    async def test_so_is_one_whose_caller_would_not_wait_so_long(
        self, clock: FakeClock, opened: Any, take_off: Any
    ) -> None:
        breaker = await opened(clock, window=self.WINDOW)
        await clock.advance(5.0)
        probe = await take_off(breaker)

        await clock.advance(1.001)
        await probe.cancel()

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.PROBES_FAILED)

    async def test_just_in_time_is_not_slow(self, clock: FakeClock, opened: Any, take_off: Any) -> None:
        breaker = await opened(clock, window=self.WINDOW)
        await clock.advance(5.0)
        probe = await take_off(breaker)

        await clock.advance(1.0)
        await probe.land()

        assert breaker.state is CircuitState.CLOSED
