"""Asks that were given up before their turn: nobody waits for them, so they take nobody's place."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    ActorOptions,
    ActorRef,
    ActorStopped,
    ActorSystem,
    AskTimeout,
    Drained,
    MailboxFull,
    Overflow,
    StashFull,
    Undelivered,
)
from cortex_core.testing import FakeClock

from .cast import Does, Gate, Heard, Order, Register, asked, future, turns


async def busy(system: ActorSystem, overflow: Overflow, seen: list[Any]) -> tuple[ActorRef, "asyncio.Future[Any]"]:
    """An actor with a mailbox of 10 that is at one message. Setting the future lets it go on."""
    ref, gate = system.spawn(lambda: Gate(seen), options=ActorOptions(mailbox=10, overflow=overflow)), future()
    ref.tell(gate)
    await turns()
    return ref, gate


async def given_up(ref: ActorRef, clock: FakeClock, count: int = 10) -> None:
    """So many ask, and have left when this returns."""
    asks = [asked(ref, f"given up {number}", timeout=1.0) for number in range(count)]
    await clock.advance(2)
    for ask in asks:
        with pytest.raises(AskTimeout):
            await ask


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_an_ask_takes_the_place_of_one_that_was_given_up(
    system: ActorSystem, clock: FakeClock, heard: Heard, overflow: Overflow
) -> None:
    seen: list[Any] = []
    ref, gate = await busy(system, overflow, seen)
    await given_up(ref, clock)

    answers = [asked(ref, f"asked {number}") for number in range(10)]
    await turns()
    with pytest.raises(MailboxFull):
        await ref.ask("one too many")
    gate.set_result(None)

    assert await asyncio.gather(*answers) == [f"asked {number}" for number in range(10)]
    assert seen == [gate, *(f"asked {number}" for number in range(10))]
    assert [each.reason for each in heard.dead_letters] == [Undelivered.ABANDONED] * 10


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_a_tell_takes_the_place_of_one_that_was_given_up(
    system: ActorSystem, clock: FakeClock, heard: Heard, overflow: Overflow
) -> None:
    seen: list[Any] = []
    ref, gate = await busy(system, overflow, seen)
    ref.tell("first")
    await given_up(ref, clock, 9)

    for number in range(9):
        ref.tell(number)
    gate.set_result(None)
    await turns()

    assert seen == [gate, "first", *range(9)]
    assert system.dead_letters == {Undelivered.ABANDONED: 9}


async def test_an_asker_that_was_cancelled_has_given_up_too(system: ActorSystem) -> None:
    ref, gate = await busy(system, Overflow.REJECT, [])
    asks = [asked(ref, number) for number in range(10)]
    await turns()
    asks[3].cancel()
    await turns()

    ref.tell("in its place")
    with pytest.raises(MailboxFull):
        ref.tell("one too many")

    gate.set_result(None)
    assert await asyncio.gather(*asks[:3], *asks[4:]) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


async def test_given_up_in_the_next_activations_mailbox_it_takes_no_place_either(
    system: ActorSystem, clock: FakeClock
) -> None:
    ends, gate = future(), future()

    class Ending(Gate):
        async def started(self) -> None:
            if ends.done():
                await gate

        async def stopped(self) -> None:
            await ends

    system.register("slow", lambda _: Ending(), ActorOptions(mailbox=10))
    ref = system.ref("slow", "ord_1")
    await ref.ask("alive")
    stop = asyncio.create_task(system.stop(ref))
    await turns()
    asks = [asked(ref, number, timeout=1.0) for number in range(10)]  # while it stops: for the next activation
    await turns()
    ends.set_result(None)
    await stop
    await clock.advance(2)
    for ask in asks:
        with pytest.raises(AskTimeout):
            await ask

    answer = asked(ref, "in their place")
    await turns()
    gate.set_result(None)

    assert await answer == "in their place"


async def test_what_was_put_aside_and_given_up_takes_no_place_in_the_stash(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(Does, options=ActorOptions(stash=2))
    for _ in range(3):
        ask = asked(ref, lambda actor: actor.context.stash())
        await turns()
        ask.cancel()
        await turns()

    assert heard.failures == []
    assert system.dead_letters == {Undelivered.ABANDONED: 2}


async def test_what_was_put_aside_and_still_is_waited_for_keeps_its_place(system: ActorSystem) -> None:
    ref = system.spawn(Does, options=ActorOptions(stash=2))
    asks = [asked(ref, lambda actor: actor.context.stash()) for _ in range(2)]
    await turns()

    with pytest.raises(StashFull):
        await ref.ask(lambda actor: actor.context.stash())

    assert system.dead_letters == {}
    for ask in asks:
        ask.cancel()


async def test_what_was_given_up_is_not_left_by_a_drain(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    ref, gate = await busy(system, Overflow.REJECT, [])
    await given_up(ref, clock, 4)
    ref.tell("left")

    drain = asyncio.create_task(system.drain(within=1.0))
    while not drain.done():
        await clock.advance(0.5)

    assert await drain == Drained(left=1, interrupted=1)
    assert gate.cancelled()
    reasons = [each.reason for each in heard.dead_letters if each.message != "left"]
    assert reasons == [Undelivered.ABANDONED] * 4


async def test_who_still_waits_when_the_actor_stops_is_told(system: ActorSystem, clock: FakeClock) -> None:
    ref, gate = await busy(system, Overflow.REJECT, [])
    await given_up(ref, clock, 9)
    waits = asked(ref, "waits")
    await turns()

    stop = asyncio.create_task(system.stop(ref))
    await turns()
    gate.set_result(None)
    await stop

    with pytest.raises(ActorStopped):
        await waits
    assert system.dead_letters == {Undelivered.ABANDONED: 9, Undelivered.STOPPED: 1}


async def test_a_virtual_actor_is_asked_again_and_again_while_it_is_busy(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(mailbox=10)
    ref, gate = system.ref("order", "ord_1"), future()
    ref.tell(lambda _: asyncio.wait_for(gate, None))
    await turns()
    for _ in range(5):
        await given_up(ref, clock)
    gate.set_result(None)

    assert await ref.ask("at last") == ["at last"]
    assert Order.activations == ["ord_1"]


async def test_what_was_put_aside_given_up_and_given_back_takes_no_place(system: ActorSystem) -> None:
    ref, gate = system.spawn(Does, options=ActorOptions(mailbox=1)), future()
    ask = asked(ref, lambda actor: actor.context.stash())
    await turns()
    ask.cancel()
    await turns()

    async def gives_back(actor: Does) -> None:
        actor.context.unstash()
        await gate

    ref.tell(gives_back)
    await turns()
    ref.tell("in its place")
    with pytest.raises(MailboxFull):
        ref.tell("one too many")

    gate.set_result(None)
    await turns()
    assert await ref.ask(lambda actor: actor.seen) == ["in its place"]
