"""What `receive` raises goes to the supervision and to the asker; what is no error passes."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorFailed, ActorSystem, StopReason

from .cast import Calls, CallsLater, Gate, Heard, Recorder, asked, future, turns

every_doer = pytest.mark.parametrize("kind", [Calls, CallsLater])


class Interrupt(BaseException):
    """What is no error, as KeyboardInterrupt is none, but lets a test go on."""


async def raises_interrupt(_: Actor) -> None:
    raise Interrupt("ctrl-c")


def raises_interrupt_plainly(_: Actor) -> None:
    raise Interrupt("ctrl-c")


async def test_what_is_no_error_passes_a_plain_receive_and_the_next_message_comes(
    system: ActorSystem, heard: Heard
) -> None:
    passed: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: passed.append(context.get("exception")))
    ref, other = system.spawn(Calls), system.spawn(Recorder)
    await turns()

    ref.tell(raises_interrupt_plainly)
    ref.tell(passed.append)
    other.tell("another actor's")
    await turns()

    assert [type(each) for each in passed] == [Interrupt, Calls]
    assert await other.ask("next") == "next"
    assert heard.failures == []


async def test_what_is_no_error_ends_an_actor_that_awaits_and_its_asker_is_told(
    system: ActorSystem, heard: Heard
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    ref = system.spawn(Calls)
    end = system.watch(ref)

    with pytest.raises(ActorFailed, match="Interrupt: ctrl-c"):
        await ref.ask(raises_interrupt)

    assert (await end).reason is StopReason.CANCELLED
    assert heard.failures == []


async def test_what_is_no_error_reaches_whoever_asks_a_resting_actor(system: ActorSystem) -> None:
    ref = system.spawn(Calls)
    await turns()

    with pytest.raises(Interrupt):
        await ref.ask(raises_interrupt_plainly)

    assert await ref.ask(lambda _: "goes on") == "goes on"


@every_doer
@pytest.mark.parametrize(
    ("error", "gets"),
    [(asyncio.CancelledError("mine"), ActorFailed), (StopIteration("mine"), (ActorFailed, RuntimeError))],
)
async def test_an_error_that_cannot_be_handed_on_becomes_one_that_can(
    system: ActorSystem, heard: Heard, kind: type[Actor], error: BaseException, gets: Any
) -> None:
    def raises(_: Actor) -> None:
        raise error

    ref = system.spawn(kind)

    with pytest.raises(gets) as raised:
        await ref.ask(raises)
    assert raised.value.__cause__ is error

    assert len(heard.failures) == 1
    answer = asked(ref, lambda _: "goes on")
    await turns()
    assert not answer.done()  # it waits for the restart: the loop of messages has not died


async def test_a_cancelled_future_that_receive_awaits_is_a_failure_like_others(
    system: ActorSystem, heard: Heard
) -> None:
    cancelled = future()
    cancelled.cancel()
    ref = system.spawn(Gate)

    with pytest.raises(ActorFailed):
        await ref.ask(cancelled)

    assert [type(failure.error) for failure in heard.failures] == [ActorFailed]


@pytest.mark.parametrize("asks", [True, False])
async def test_an_awaitable_that_was_handed_out_and_fails_is_a_failure_of_the_actor(
    system: ActorSystem, heard: Heard, asks: bool
) -> None:
    async def fails(_: Actor) -> None:
        await asyncio.sleep(0)
        raise LookupError("late")

    ref = system.spawn(Calls)
    await turns()

    if asks:
        with pytest.raises(LookupError, match="late"):
            await ref.ask(fails)
    else:
        ref.tell(fails)
    await turns()

    assert [str(failure.error) for failure in heard.failures] == ["late"]


async def test_an_actor_that_writes_no_receive_fails(system: ActorSystem) -> None:
    with pytest.raises(NotImplementedError, match="Actor does not receive"):
        await system.spawn(Actor).ask("anything")
