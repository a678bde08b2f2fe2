"""Timeout interrupts by cancelling: no cancellation from elsewhere is lost by it, or taken for its own."""

import asyncio
from typing import Any

import pytest

from cortex_core.resilience import CallTimeout, Timeout
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


async def test_one_from_outside_stays_one(clock: FakeClock) -> None:
    task = await begun(Timeout(1.0, clock=clock).execute(for_ever))

    task.cancel()

    assert isinstance(await error_of(task), asyncio.CancelledError)


@pytest.mark.parametrize("outside_first", [True, False])
async def test_one_from_outside_wins_when_both_come_at_once(clock: FakeClock, outside_first: bool) -> None:
    late, gate = asyncio.Event(), asyncio.Event()

    async def slow_to_clean_up() -> None:
        try:
            await for_ever()
        finally:
            late.set()
            await gate.wait()

    task = await begun(Timeout(1.0, clock=clock).execute(slow_to_clean_up))
    if outside_first:
        task.cancel()
        await late.wait()
        await clock.advance(1.0)
    else:
        await clock.advance(1.0)
        await late.wait()
        task.cancel()
    gate.set()

    assert isinstance(await error_of(task), asyncio.CancelledError)


async def test_one_that_was_on_its_way_already_is_not_taken_for_ours(clock: FakeClock) -> None:
    """As in a task that cleans up after having been cancelled, and gives that a limit."""

    given_up: list[CallTimeout] = []

    async def cancelled_and_cleaning_up() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            with pytest.raises(CallTimeout) as raised:
                await Timeout(1.0, clock=clock).execute(for_ever)
            given_up.append(raised.value)
            raise

    task = await begun(cancelled_and_cleaning_up())
    task.cancel()
    await clock.advance(1.0)

    assert isinstance(await error_of(task), asyncio.CancelledError)
    assert len(given_up) == 1


async def test_a_call_that_makes_something_of_it_keeps_what_it_made(clock: FakeClock) -> None:
    async def makes_do() -> str:
        try:
            return await for_ever()
        except asyncio.CancelledError:
            return "half of it"

    async def translates() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            raise LookupError("cut short") from None

    timeout = Timeout(1.0, clock=clock)
    made, translated = await begun(timeout.execute(makes_do)), await begun(timeout.execute(translates))
    await clock.advance(1.0)

    assert await made == "half of it"
    assert isinstance(await error_of(translated), LookupError)


async def test_of_two_within_each_other_the_outer_one_ends_both(clock: FakeClock) -> None:
    inner, outer = Timeout(2.0, name="inner", clock=clock), Timeout(2.0, name="outer", clock=clock)

    task = await begun(outer.execute(inner.execute, for_ever))
    await clock.advance(2.0)

    error = await error_of(task)
    assert isinstance(error, CallTimeout)
    assert error.details == {"timeout": "outer"}


async def test_without_a_task_there_is_nothing_to_interrupt() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def outside_of_any_task() -> None:
        with pytest.raises(RuntimeError, match="needs a task"):
            Timeout(1.0).execute(for_ever).send(None)
        told.set_result(None)

    loop.call_soon(outside_of_any_task)
    await told
