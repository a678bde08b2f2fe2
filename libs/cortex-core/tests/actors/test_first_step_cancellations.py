"""What is cancelled before an actor's task has taken over is cancelled all the same."""

import asyncio
import itertools
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorFailed, ActorStopped, ActorSystem, StopReason

from .cast import CallsLater, Heard, asked, future, turns


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001])
async def test_a_timeout_that_ends_before_the_task_takes_over_is_one(ref: Any, heard: Heard, seconds: float) -> None:
    async def too_slow(_: Actor) -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
            return f"{asyncio.current_task().cancelling()} cancellations"  # type: ignore[union-attr]
        return "never"

    for _ in range(3):
        assert await ref.ask(too_slow) == "0 cancellations"
    assert heard.failures == []


async def test_a_wait_of_no_turn_within_a_timeout_is_cancelled_too(ref: Any) -> None:
    async def turns_for_ever(_: Actor) -> str:
        try:
            async with asyncio.timeout(0):
                for _turn in itertools.count():
                    await asyncio.sleep(0)
        except TimeoutError:
            return "in time"

    assert await ref.ask(turns_for_ever) == "in time"


async def test_what_it_waits_for_is_cancelled_as_a_task_does(ref: Any) -> None:
    """A task within that needs a moment to clean up has it before its waiter goes on."""
    course: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            course.append("inner has cleaned up")

    async def waits(_: Actor) -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.create_task(inner())
        except TimeoutError:
            course.append("its waiter goes on")

    await ref.ask(waits)

    assert course == ["inner has cleaned up", "its waiter goes on"]


async def test_a_cancellation_may_be_swallowed_and_the_answer_still_comes(ref: Any, heard: Heard) -> None:
    async def swallows(_: Actor) -> str:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task.uncancel()
        return "answered"

    assert await ref.ask(swallows) == "answered"
    assert await ref.ask(lambda _: "goes on") == "goes on"
    assert heard.terminated == []


async def test_a_group_whose_task_fails_at_once_is_told(ref: Any) -> None:
    async def fails() -> None:
        raise LookupError("at once")

    async def groups(_: Actor) -> str:
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await asyncio.Event().wait()
        return str(raised.value.exceptions[0])

    for _ in range(2):
        assert await ref.ask(groups) == "at once"


@pytest.mark.parametrize("waits_first", [True, False])
async def test_a_task_cancelled_before_it_takes_over_ends_its_actor_and_the_asker_is_told(
    ref: Any, system: ActorSystem, heard: Heard, waits_first: bool
) -> None:
    """Whether the message came to wait for something that can be cancelled, or just for a turn."""
    course: list[str] = []

    async def waits(_: Actor) -> None:
        try:
            await (future() if waits_first else asyncio.sleep(0))
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            course.append("cancelled")
            raise

    end = system.watch(ref)
    answer = asked(ref, waits)
    await asyncio.sleep(0)  # the asker has begun the message, and the task has not taken over yet
    next(task for task in asyncio.all_tasks() if task.get_name() == "actor orders/doer").cancel()
    await turns()

    error = answer.exception()
    assert isinstance(error, ActorStopped)
    assert error.attempted
    assert course == ["cancelled"]
    assert (await end).reason is StopReason.CANCELLED
    assert heard.failures == []


async def test_who_cancels_its_own_task_in_the_first_step_is_ended(ref: Any, system: ActorSystem, heard: Heard) -> None:
    def cancels(_: Actor) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def waits(actor: Actor) -> None:
        cancels(actor)
        await asyncio.sleep(0)

    async def raises(actor: Actor) -> None:
        cancels(actor)
        raise asyncio.CancelledError

    for does in (waits, raises):
        other = system.spawn(CallsLater)
        end = system.watch(other)
        await turns()

        with pytest.raises(ActorStopped):
            await other.ask(does)

        assert (await end).reason is StopReason.CANCELLED
    assert heard.failures == []


async def test_a_message_for_an_actor_whose_task_has_just_been_cancelled_is_not_lost(
    ref: Any, system: ActorSystem, heard: Heard
) -> None:
    """It fails by itself, and its asker is told that; then the actor ends, as was asked for before."""

    def raises(_: Actor) -> None:
        raise asyncio.CancelledError

    next(task for task in asyncio.all_tasks() if task.get_name() == "actor orders/doer").cancel()
    answer = ref.ask(raises)

    with pytest.raises(ActorFailed):
        await answer

    await turns()
    assert [each.reason for each in heard.terminated] == [StopReason.CANCELLED]
