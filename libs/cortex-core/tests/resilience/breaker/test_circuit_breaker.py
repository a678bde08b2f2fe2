"""CircuitBreaker: when it opens, what it counts, whom it refuses; half-open has a file of its own."""

import asyncio
import math
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import CircuitBreaker, CircuitCause, CircuitOpenError, CircuitState, Refusal
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


def error_of(kind: Kind) -> CortexError:
    return type("Told", (CortexError,), {"code": f"test.{kind}", "kind": kind})("told")


async def fail(breaker: CircuitBreaker, error: BaseException | None = None, times: int = 1) -> None:
    async def failing() -> None:
        raise error or Down("down")

    for _ in range(times):
        with pytest.raises(type(error or Down("down"))):
            await breaker.execute(failing)


async def test_a_call_that_succeeds_is_let_through_with_its_arguments(backend: Any) -> None:
    assert await CircuitBreaker().execute(backend, answer="well") == "well"
    assert CircuitBreaker().execute_sync(backend.blocking, "very well") == "very well"


async def test_it_opens_at_the_agreed_number_of_failures_in_a_row(backend: Any, clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_threshold=3, reset_timeout=5.0, clock=clock)
    backend.error = Down("down")

    ended = await asyncio.gather(*(breaker.execute(backend) for _ in range(3)), return_exceptions=True)
    ended += await asyncio.gather(*(breaker.execute(backend) for _ in range(7)), return_exceptions=True)

    assert backend.calls == 3
    assert [type(error) for error in ended] == [Down] * 3 + [CircuitOpenError] * 7
    assert (breaker.state, breaker.opened_until) == (CircuitState.OPEN, clock.monotonic() + 5.0)


async def test_five_in_a_row_unless_told_otherwise() -> None:
    breaker = CircuitBreaker()

    await fail(breaker, times=4)
    assert breaker.state is CircuitState.CLOSED
    await fail(breaker)
    assert breaker.state is CircuitState.OPEN


async def test_a_success_ends_the_row(backend: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=2)

    await fail(breaker)
    await breaker.execute(backend)
    await fail(breaker)

    assert (breaker.state, breaker.status.failures) == (CircuitState.CLOSED, 1)


async def test_a_refusal_says_that_nothing_was_done_and_when_to_come_back(clock: FakeClock, backend: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=1, reset_timeout=5.0, name="payments", clock=clock)
    await fail(breaker)
    await clock.advance(1.5)

    with pytest.raises(CircuitOpenError, match=r"circuit payments is open for another 3\.500 s") as raised:
        await breaker.execute(backend)

    error = raised.value
    assert (error.code, error.kind, error.retryable) == ("circuit.open", Kind.UNAVAILABLE, True)
    assert (error.attempted, error.retry_after, error.details) == (False, 3.5, {"circuit": "payments"})
    assert backend.calls == 0


@pytest.mark.parametrize("kind", [Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.MALFORMED, Kind.INTERNAL])
async def test_its_own_trouble_counts(kind: Kind) -> None:
    breaker = CircuitBreaker(failure_threshold=1)

    await fail(breaker, error_of(kind))

    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.MALFORMED, Kind.INTERNAL}))
async def test_an_error_that_is_the_callers_fault_is_an_answer(kind: Kind) -> None:
    breaker = CircuitBreaker(failure_threshold=2)

    await fail(breaker)
    await fail(breaker, error_of(kind), times=3)
    await fail(breaker)

    assert (breaker.state, breaker.status.failures) == (CircuitState.CLOSED, 1)


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError(), OSError("no route")])
async def test_what_is_no_cortex_error_counts(error: Exception) -> None:
    breaker = CircuitBreaker(failure_threshold=1)

    await fail(breaker, error)

    assert breaker.state is CircuitState.OPEN


async def test_the_predicate_decides_what_counts() -> None:
    breaker = CircuitBreaker(failure_threshold=1, is_failure=lambda error: isinstance(error, LookupError))

    await fail(breaker, Down("not mine"))
    assert breaker.state is CircuitState.CLOSED
    await fail(breaker, LookupError("mine"))
    assert breaker.state is CircuitState.OPEN


async def test_a_predicate_that_fails_hides_no_error_and_counts_as_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    def broken(error: Exception) -> bool:
        raise RuntimeError("the predicate is broken")

    breaker = CircuitBreaker(failure_threshold=1, is_failure=broken)

    await fail(breaker, Down("the call's own"))

    assert breaker.state is CircuitState.OPEN
    assert "the predicate is broken" in caplog.text


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Refusal("the bulkhead is full"), KeyboardInterrupt()])
async def test_what_says_nothing_about_the_backend_counts_neither_way(error: BaseException) -> None:
    breaker = CircuitBreaker(failure_threshold=2)

    await fail(breaker)
    with pytest.raises(type(error)), breaker:
        raise error

    assert (breaker.state, breaker.status.failures) == (CircuitState.CLOSED, 1)


async def test_a_result_of_an_older_phase_is_ignored(clock: FakeClock, take_off: Any) -> None:
    breaker = CircuitBreaker(failure_threshold=2, reset_timeout=5.0, clock=clock)
    early, late = await take_off(breaker), await take_off(breaker)
    await fail(breaker, times=2)

    await early.land()
    assert breaker.state is CircuitState.OPEN  # a success of before does not close it

    breaker.reset()
    await fail(breaker)
    await late.land(Down("of before"))

    assert (breaker.state, breaker.status.failures) == (CircuitState.CLOSED, 1)


class TestByHand:
    async def test_forced_open_it_refuses_for_as_long_as_it_takes(self, clock: FakeClock, backend: Any) -> None:
        breaker = CircuitBreaker(clock=clock)

        breaker.force_open()
        await clock.advance(1e6)

        with pytest.raises(CircuitOpenError, match="held open by hand") as raised:
            await breaker.execute(backend)
        assert raised.value.retry_after is None
        assert (breaker.state, breaker.opened_until, backend.calls) == (CircuitState.OPEN, math.inf, 0)
        assert (breaker.status.held, breaker.status.until) == (True, None)

    async def test_forced_closed_it_lets_all_pass_and_counts_nothing(self) -> None:
        breaker = CircuitBreaker(failure_threshold=1)

        breaker.force_close()
        await fail(breaker, times=5)

        assert (breaker.state, breaker.status.failures, breaker.status.held) == (CircuitState.CLOSED, 0, True)

    @pytest.mark.parametrize("by_hand", ["force_open", "force_close"])
    async def test_reset_makes_it_as_new(self, by_hand: str, backend: Any) -> None:
        breaker = CircuitBreaker(failure_threshold=2)
        getattr(breaker, by_hand)()

        breaker.reset()

        await breaker.execute(backend)
        await fail(breaker)
        assert breaker.state is CircuitState.CLOSED
        await fail(breaker)
        assert breaker.state is CircuitState.OPEN

    async def test_reset_closes_what_opened_by_itself(self, backend: Any) -> None:
        breaker = CircuitBreaker(failure_threshold=1)
        await fail(breaker)

        breaker.reset()

        assert await breaker.execute(backend) == "ok"
        assert breaker.status.cause is CircuitCause.RESET


class TestOnSomebodysWord:
    async def test_it_opens_for_the_time_it_is_told(self, clock: FakeClock, backend: Any) -> None:
        breaker = CircuitBreaker(clock=clock)

        assert breaker.open_for(2.0)

        assert (breaker.state, breaker.status.cause) == (CircuitState.OPEN, CircuitCause.TOLD)
        with pytest.raises(CircuitOpenError):
            await breaker.execute(backend)
        await clock.advance(2.0)
        assert await breaker.execute(backend) == "ok"
        assert breaker.state is CircuitState.CLOSED

    async def test_what_it_saw_itself_goes_before(self, clock: FakeClock) -> None:
        breaker = CircuitBreaker(failure_threshold=1, reset_timeout=5.0, clock=clock)
        await fail(breaker)

        assert not breaker.open_for(60.0)

        assert breaker.opened_until == clock.monotonic() + 5.0

    async def test_a_hand_goes_before(self) -> None:
        breaker = CircuitBreaker()
        breaker.force_close()

        assert not breaker.open_for(60.0)

        assert breaker.state is CircuitState.CLOSED

    @pytest.mark.parametrize("seconds", [0, -1.0, math.nan])
    def test_no_time_at_all_is_refused(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="seconds"):
            CircuitBreaker().open_for(seconds)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"reset_timeout": 0}, "reset_timeout"),
        ({"reset_timeout": math.nan}, "reset_timeout"),
        ({"reset_timeout": math.inf}, "reset_timeout"),
        ({"half_open_timeout": 0}, "half_open_timeout"),
        ({"half_open_timeout": math.inf}, "half_open_timeout"),
        ({"reset_timeout": 5.0, "max_reset_timeout": 4.0}, "max_reset_timeout"),
        ({"max_reset_timeout": math.inf}, "max_reset_timeout"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
        ({"probes": 0}, "probes"),
        ({"probes": 2, "probes_to_close": 3}, "probes_to_close"),
        ({"probes_to_close": 0}, "probes_to_close"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        CircuitBreaker(**arguments)
