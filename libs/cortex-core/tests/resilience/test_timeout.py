"""Timeout: when a call is given up, whose limit it was, and that no cancellation is lost or made up."""

import asyncio
import math
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.resilience import (
    CallTimeout,
    CircuitBreaker,
    CircuitState,
    DeadlineExceeded,
    Timeout,
    TimeoutDetails,
)
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def for_ever() -> str:
    return await asyncio.get_running_loop().create_future()


async def begun(work: Any) -> asyncio.Task[Any]:
    """A task that has come to where it waits."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def error_of(task: asyncio.Task[Any]) -> BaseException:
    (error,) = await asyncio.gather(task, return_exceptions=True)
    return error


async def test_what_ends_in_time_is_the_answer(clock: FakeClock) -> None:
    async def answer(text: str, *, loud: bool) -> str:
        await clock.sleep(0.999)
        return text.upper() if loud else text

    task = await begun(Timeout(1.0, clock=clock).execute(answer, "well", loud=True))
    await clock.advance(5.0)

    assert await task == "WELL"
    assert clock.sleepers == 0


async def test_what_takes_too_long_is_given_up(clock: FakeClock) -> None:
    task = await begun(Timeout(1.0, name="payments", clock=clock).execute(for_ever))

    await clock.advance(0.999)
    assert not task.done()
    await clock.advance(0.001)

    error = await error_of(task)
    assert isinstance(error, CallTimeout)
    assert (error.code, error.kind, error.attempted, error.retryable) == ("call.timeout", Kind.TIMEOUT, True, True)
    assert isinstance(error, TimeoutError)  # what plain code expects
    assert (str(error), error.details) == ("no answer within 1.0 s", {"timeout": "payments"})
    assert isinstance(error.__cause__, asyncio.CancelledError)


async def test_its_own_error_comes_out_as_it_was(clock: FakeClock) -> None:
    async def failing() -> None:
        raise LookupError("no such order")

    with pytest.raises(LookupError):
        await Timeout(1.0, clock=clock).execute(failing)

    assert clock.sleepers == 0


async def test_the_time_is_over_for_the_block_and_not_for_what_comes_after(clock: FakeClock) -> None:
    async def work() -> int:
        with pytest.raises(CallTimeout):
            await Timeout(1.0, clock=clock).execute(for_ever)
        await clock.sleep(10.0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    task = await begun(work())
    await clock.advance(11.0)

    assert await task == 0


class TestDeadline:
    async def test_what_is_called_knows_how_long_it_has(self, clock: FakeClock) -> None:
        async def seen() -> float | None:
            return current().deadline

        assert await Timeout(3.0, clock=clock).execute(seen) == 3.0
        with use_context(deadline=2.0):
            assert await Timeout(3.0, clock=clock).execute(seen) == 2.0
        with use_context(deadline=4.0, tenant="acme"):
            assert await Timeout(3.0, clock=clock).execute(seen) == 3.0
            assert (current().deadline, current().tenant) == (4.0, "acme")

    async def test_the_callers_ends_the_call_where_it_is_tighter(self, clock: FakeClock) -> None:
        with use_context(deadline=0.5):
            task = await begun(Timeout(3.0, clock=clock).execute(for_ever))

        await clock.advance(0.5)

        error = await error_of(task)
        assert isinstance(error, DeadlineExceeded)
        assert isinstance(error, TimeoutError)
        assert (error.code, error.kind, error.attempted) == ("deadline.exceeded", Kind.TIMEOUT, True)

    @pytest.mark.parametrize("deadline", [10.0, 9.0])
    async def test_nobody_works_for_a_caller_who_has_left(self, clock: FakeClock, deadline: float) -> None:
        await clock.advance(10.0)
        timeout = Timeout(3.0, clock=clock)

        with use_context(deadline=deadline):
            with pytest.raises(DeadlineExceeded) as raised:
                await timeout.execute(lambda: pytest.fail("it was called"))
            with pytest.raises(DeadlineExceeded):
                timeout.execute_sync(lambda: pytest.fail("it was called"))

        assert raised.value.attempted is False

    async def test_a_breaker_takes_a_hang_for_a_failure_and_a_caller_in_a_hurry_for_none(
        self, clock: FakeClock
    ) -> None:
        breaker, timeout = CircuitBreaker(1, clock=clock), Timeout(3.0, clock=clock)

        with use_context(deadline=1.0):
            hurried = await begun(breaker.execute(timeout.execute, for_ever))
        await clock.advance(1.0)
        assert isinstance(await error_of(hurried), DeadlineExceeded)
        assert breaker.state is CircuitState.CLOSED

        hanging = await begun(breaker.execute(timeout.execute, for_ever))
        await clock.advance(3.0)
        assert isinstance(await error_of(hanging), CallTimeout)
        assert breaker.state is CircuitState.OPEN


class TestForms:
    async def test_as_a_context(self, clock: FakeClock) -> None:
        timeout = Timeout(1.0, clock=clock)

        async def work() -> None:
            async with timeout as itself:
                assert (itself, current().deadline) == (timeout, 1.0)
            assert current().deadline is None
            async with timeout:
                await for_ever()

        task = await begun(work())
        await clock.advance(1.0)

        assert isinstance(await error_of(task), CallTimeout)

    async def test_many_tasks_may_be_within_one_at_once(self, clock: FakeClock) -> None:
        timeout = Timeout(1.0, clock=clock)

        async def work(seconds: float) -> None:
            async with timeout:
                await clock.sleep(seconds)

        tasks = [asyncio.create_task(work(seconds)) for seconds in (0.5, 2.0, 0.5, 2.0)]
        await clock.advance(5.0)

        assert [type(await error_of(task)) for task in tasks] == [type(None), CallTimeout, type(None), CallTimeout]

    async def test_as_a_decorator(self, clock: FakeClock) -> None:
        task = await begun(Timeout(1.0, clock=clock)(for_ever)())

        await clock.advance(1.0)

        assert isinstance(await error_of(task), CallTimeout)

    def test_a_block_that_blocks_cannot_be_given_a_limit(self) -> None:
        with pytest.raises(TypeError), Timeout(1.0):  # type: ignore[attr-defined]
            pytest.fail("nothing runs")

    def test_it_is_read_as_what_it_is(self) -> None:
        assert repr(Timeout(1.5)) == "Timeout(1.5)"


class TestHook:
    async def test_it_hears_of_every_call_that_is_given_up(self, clock: FakeClock) -> None:
        heard: list[TimeoutDetails] = []
        timeout = Timeout(2.0, name="payments", clock=clock, on_timeout=heard.append)

        own = await begun(timeout.execute(for_ever))
        with use_context(deadline=1.0):
            callers = await begun(timeout.execute(for_ever))
        await clock.advance(2.0)
        await asyncio.gather(own, callers, return_exceptions=True)
        with use_context(deadline=1.0), pytest.raises(DeadlineExceeded):
            await timeout.execute(for_ever)

        assert heard == [
            TimeoutDetails("payments", 1.0, by_deadline=True),
            TimeoutDetails("payments", 2.0, by_deadline=False),
            TimeoutDetails("payments", 0.0, by_deadline=True),
        ]

    async def test_its_own_error_is_logged_and_changes_nothing(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(details: TimeoutDetails) -> None:
            raise RuntimeError("the hook is broken")

        task = await begun(Timeout(1.0, clock=clock, on_timeout=broken).execute(for_ever))
        await clock.advance(1.0)

        assert isinstance(await error_of(task), CortexError)
        assert "the hook is broken" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seconds": 0}, "seconds"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": math.nan}, "seconds"),
        ({"seconds": math.inf}, "seconds"),
        ({"seconds": 1.0, "max_abandoned": 0}, "max_abandoned"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        Timeout(**arguments)
