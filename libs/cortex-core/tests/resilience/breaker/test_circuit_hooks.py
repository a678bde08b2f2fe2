"""What a breaker tells its hooks, and that they cannot hurt it."""

import asyncio
import itertools
import threading
from typing import Any

import pytest

from cortex_core.resilience import (
    CallOutcome,
    CircuitBreaker,
    CircuitCall,
    CircuitCause,
    CircuitChange,
    CircuitOpenError,
    CircuitRejection,
    CircuitState,
    CountWindow,
)
from cortex_core.testing import FakeClock

CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


async def test_every_change_is_told_with_its_cause(clock: FakeClock, backend: Any) -> None:
    heard: list[CircuitChange] = []
    breaker = CircuitBreaker(1, 5.0, name="payments", half_open_timeout=9.0, clock=clock, on_change=heard.append)
    backend.error = ConnectionError("down")
    with pytest.raises(ConnectionError):
        await breaker.execute(backend)
    await clock.advance(5.0)
    with pytest.raises(ConnectionError):
        await breaker.execute(backend)
    await clock.advance(5.0)
    backend.error = None
    await breaker.execute(backend)

    error = heard[0].error
    assert isinstance(error, ConnectionError)
    assert heard == [
        CircuitChange("payments", CLOSED, OPEN, CircuitCause.FAILURES, 5.0, error),
        CircuitChange("payments", OPEN, HALF_OPEN, CircuitCause.RESET_TIMEOUT, 9.0),
        CircuitChange("payments", HALF_OPEN, OPEN, CircuitCause.PROBES_FAILED, 5.0, error),
        CircuitChange("payments", OPEN, HALF_OPEN, CircuitCause.RESET_TIMEOUT, 9.0),
        CircuitChange("payments", HALF_OPEN, CLOSED, CircuitCause.PROBES_SUCCEEDED),
    ]


async def test_what_a_hand_does_is_told() -> None:
    heard: list[CircuitChange] = []
    breaker = CircuitBreaker(on_change=heard.append)

    breaker.force_open()
    breaker.force_close()
    breaker.reset()
    breaker.open_for(1.0)

    assert [(change.old, change.new, change.cause) for change in heard] == [
        (CLOSED, OPEN, CircuitCause.FORCED),
        (OPEN, CLOSED, CircuitCause.FORCED),
        (CLOSED, CLOSED, CircuitCause.RESET),
        (CLOSED, OPEN, CircuitCause.TOLD),
    ]
    assert [change.seconds for change in heard] == [None, None, None, pytest.approx(1.0)]


async def test_only_what_it_saw_itself_is_evidence() -> None:
    assert {cause for cause in CircuitCause if cause.is_evidence} == {
        CircuitCause.FAILURES,
        CircuitCause.FAILURE_RATE,
        CircuitCause.SLOW_RATE,
        CircuitCause.PROBES_FAILED,
        CircuitCause.PROBES_TOO_LONG,
    }


async def test_every_refusal_is_told(clock: FakeClock, opened: Any, backend: Any) -> None:
    heard: list[CircuitRejection] = []
    breaker = await opened(clock, name="payments", on_rejection=heard.append)
    await clock.advance(2.0)

    for _ in range(2):
        with pytest.raises(CircuitOpenError):
            await breaker.execute(backend)

    assert heard == [CircuitRejection("payments", OPEN, 3.0)] * 2


async def test_every_call_that_had_passed_is_told(clock: FakeClock) -> None:
    heard: list[CircuitCall] = []
    window = CountWindow(10, slow_rate=1.0, slow_after=1.0)
    breaker = CircuitBreaker(window=window, name="payments", clock=clock, on_call=heard.append)
    down, cancelled = ConnectionError("down"), asyncio.CancelledError()

    def call(seconds: float, error: BaseException | None = None) -> None:
        clock.pause(seconds)
        if error is not None:
            raise error

    breaker.execute_sync(call, 0.25)
    breaker.execute_sync(call, 2.0)
    for seconds, error in ((0.5, down), (0.0, cancelled)):
        with pytest.raises(type(error)):
            breaker.execute_sync(call, seconds, error)

    assert heard == [
        CircuitCall("payments", CallOutcome.SUCCESS, 0.25, False, None),
        CircuitCall("payments", CallOutcome.SUCCESS, 2.0, True, None),
        CircuitCall("payments", CallOutcome.FAILURE, 0.5, False, down),
        CircuitCall("payments", CallOutcome.NEITHER, 0.0, False, cancelled),
    ]


async def test_calls_are_told_without_a_window_too(clock: FakeClock, backend: Any) -> None:
    heard: list[CircuitCall] = []
    breaker = CircuitBreaker(clock=clock, on_call=heard.append)

    await breaker.execute(backend)

    assert heard == [CircuitCall("default", CallOutcome.SUCCESS, 0.0, False, None)]


async def test_who_watches_hears_until_it_has_enough() -> None:
    first: list[CircuitChange] = []
    second: list[CircuitChange] = []
    breaker = CircuitBreaker(on_change=first.append)

    unwatch = breaker.watch(second.append)
    breaker.force_open()
    unwatch()
    breaker.reset()

    assert (len(first), len(second)) == (2, 1)


async def test_a_hook_that_raises_is_logged_and_costs_nothing(caplog: pytest.LogCaptureFixture, backend: Any) -> None:
    def broken(details: object) -> None:
        raise RuntimeError(f"broken at {type(details).__name__}")

    heard: list[CircuitChange] = []
    breaker = CircuitBreaker(1, on_change=broken, on_rejection=broken, on_call=broken)
    breaker.watch(heard.append)

    assert await breaker.execute(backend) == "ok"
    backend.error = ConnectionError("down")
    with pytest.raises(ConnectionError):
        await breaker.execute(backend)
    with pytest.raises(CircuitOpenError):
        await breaker.execute(backend)

    assert len(heard) == 1
    for name in ("CircuitChange", "CircuitRejection", "CircuitCall"):
        assert f"broken at {name}" in caplog.text


async def test_a_hook_may_use_the_breaker_and_hears_of_what_it_did_next() -> None:
    heard: list[CircuitState] = []

    def meddles(change: CircuitChange) -> None:
        heard.append(change.new)
        if change.new is OPEN:
            breaker.reset()
            assert breaker.status.state is CLOSED

    breaker = CircuitBreaker(on_change=meddles)
    breaker.force_open()

    assert heard == [OPEN, CLOSED]


def test_a_change_in_the_last_moment_of_telling_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Telling:
        """Somebody changes the circuit after the last change was told, before anybody else could tell of another."""

        def __init__(self) -> None:
            self.lock, self.meddled = threading.Lock(), False

        def acquire(self, blocking: bool) -> bool:
            return self.lock.acquire(blocking)

        def release(self) -> None:
            if not self.meddled:
                self.meddled = True
                breaker.reset()
            self.lock.release()

    heard: list[CircuitState] = []
    breaker = CircuitBreaker(on_change=lambda change: heard.append(change.new))
    monkeypatch.setattr(breaker, "_telling", Telling())

    breaker.force_open()

    assert heard == [OPEN, CLOSED]


def test_threads_changes_are_told_in_their_order() -> None:
    heard: list[CircuitChange] = []
    breaker = CircuitBreaker(on_change=heard.append)
    start = threading.Barrier(8)

    def meddle() -> None:
        start.wait(10)
        for _ in range(200):
            breaker.force_open()
            breaker.reset()

    threads = [threading.Thread(target=meddle) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(heard) == 8 * 400
    assert all(before.new is after.old for before, after in itertools.pairwise(heard))
    assert heard[-1].new is breaker.state
