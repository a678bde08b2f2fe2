"""Timeout around blocking calls: a thread cannot be interrupted, so it is left to itself, and counted."""

import threading

import pytest

from cortex_core.kernel import current, use_context
from cortex_core.resilience import CallTimeout, DeadlineExceeded, Refusal, ThreadsExhausted, Timeout
from cortex_core.testing import FakeClock, eventually


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_what_ends_in_time_is_the_answer() -> None:
    assert Timeout(10.0).execute_sync("{} {more}".format, "well", more="done") == "well done"


def test_its_own_error_comes_out_as_it_was() -> None:
    error = TimeoutError("the call's own")

    def failing() -> None:
        raise error

    with pytest.raises(TimeoutError) as raised:
        Timeout(10.0).execute_sync(failing)
    assert raised.value is error


def test_it_runs_in_its_callers_context_with_the_deadline(clock: FakeClock) -> None:
    with use_context(tenant="acme"):
        context = Timeout(10.0, clock=clock).execute_sync(current)

    assert (context.tenant, context.deadline) == ("acme", 10.0)


async def test_what_takes_too_long_is_left_to_itself_and_counted() -> None:
    timeout, gate, ended = Timeout(0.01), threading.Event(), threading.Event()

    def hanging() -> None:
        gate.wait(30)
        ended.set()

    with pytest.raises(CallTimeout):
        timeout.execute_sync(hanging)
    assert (timeout.abandoned, ended.is_set()) == (1, False)

    gate.set()
    await eventually(lambda: timeout.abandoned == 0)
    assert ended.is_set()


async def test_while_as_many_as_agreed_are_left_so_no_other_begins() -> None:
    timeout, gate = Timeout(0.01, max_abandoned=2), threading.Event()
    for _ in range(2):
        with pytest.raises(CallTimeout):
            timeout.execute_sync(gate.wait, 30)

    with pytest.raises(ThreadsExhausted) as raised:
        timeout.execute_sync(lambda: pytest.fail("it was called"))

    assert isinstance(raised.value, Refusal)
    assert (raised.value.code, raised.value.attempted) == ("timeout.threads-exhausted", False)
    gate.set()
    await eventually(lambda: timeout.abandoned == 0)
    assert timeout.execute_sync(lambda: "again") == "again"


def test_the_callers_deadline_holds_here_too() -> None:
    clock, gate = FakeClock(), threading.Event()

    with use_context(deadline=0.01), pytest.raises(DeadlineExceeded):
        Timeout(30.0, clock=clock).execute_sync(gate.wait, 30)

    gate.set()


def test_as_a_decorator() -> None:
    assert Timeout(10.0)(lambda: "done")() == "done"
