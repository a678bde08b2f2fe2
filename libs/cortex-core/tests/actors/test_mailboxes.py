"""Mailboxes are bounded; what does not fit is refused, or dropped and told of."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cortex_core.actors import (
    ActorHooks,
    ActorOptions,
    ActorRef,
    ActorStopped,
    ActorSystem,
    MailboxFull,
    Overflow,
    Undelivered,
)
from cortex_core.kernel import Kind, use_context

from .cast import Gate, Heard, Recorder, asked, future, turns


async def full(system: ActorSystem, overflow: Overflow, seen: list[Any]) -> tuple[ActorRef, "asyncio.Future[Any]"]:
    """An actor that is at one message, three more waiting: as many as may. Setting the future lets it go on."""
    ref, gate = system.spawn(lambda: Gate(seen), options=ActorOptions(mailbox=3, overflow=overflow)), future()
    ref.tell(gate)
    await turns()
    for number in range(3):
        ref.tell(number)
    return ref, gate


async def test_a_message_too_many_is_refused_and_the_rest_is_received(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = await full(system, Overflow.REJECT, seen)

    with pytest.raises(MailboxFull, match="has 3 messages waiting") as raised:
        ref.tell(3)

    assert (raised.value.code, raised.value.kind) == ("actor.mailbox-full", Kind.UNAVAILABLE)
    assert not raised.value.attempted
    gate.set_result(None)
    await turns()
    assert seen == [gate, 0, 1, 2]
    assert heard.dead_letters == []
    ref.tell("there is room again")


async def test_the_newest_is_dropped_and_told_of(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = await full(system, Overflow.DROP_NEWEST, seen)

    ref.tell(3, ref)

    gate.set_result(None)
    await turns()
    assert seen == [gate, 0, 1, 2]
    assert [(each.recipient, each.message, each.sender) for each in heard.dead_letters] == [(ref, 3, ref)]
    assert system.dead_letters == {Undelivered.OVERFLOW: 1}


async def test_the_oldest_is_dropped_and_told_of(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = await full(system, Overflow.DROP_OLDEST, seen)

    ref.tell(3)
    ref.tell(4)

    gate.set_result(None)
    await turns()
    assert seen == [gate, 2, 3, 4]
    assert [(each.message, each.reason) for each in heard.dead_letters] == [
        (0, Undelivered.OVERFLOW),
        (1, Undelivered.OVERFLOW),
    ]


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_an_ask_is_refused_at_once_whatever_the_policy(
    system: ActorSystem, heard: Heard, overflow: Overflow
) -> None:
    seen: list[Any] = []
    ref, gate = await full(system, overflow, seen)

    with pytest.raises(MailboxFull):
        await ref.ask("one too many")

    gate.set_result(None)
    await turns()
    assert seen == [gate, 0, 1, 2]
    assert heard.dead_letters == []


async def test_whose_ask_is_dropped_as_the_oldest_is_told(system: ActorSystem) -> None:
    ref, gate = system.spawn(Gate, options=ActorOptions(mailbox=1, overflow=Overflow.DROP_OLDEST)), future()
    ref.tell(gate)
    await turns()
    answer = asked(ref, "the oldest")
    await turns()

    ref.tell("newer")

    with pytest.raises(MailboxFull):
        await answer
    gate.set_result(None)


async def test_what_the_system_put_in_is_never_dropped(system: ActorSystem, heard: Heard) -> None:
    """A notice of death fills the mailbox of one: the new message is dropped, not the notice."""
    seen: list[Any] = []

    class Watcher(Gate):
        def started(self) -> None:
            self.context.watch(watched)

    watched = system.spawn(Recorder)
    ref = system.spawn(lambda: Watcher(seen), options=ActorOptions(mailbox=1, overflow=Overflow.DROP_OLDEST))
    gate = future()
    ref.tell(gate)
    await turns()
    await system.stop(watched)

    ref.tell("dropped")

    gate.set_result(None)
    await turns()
    assert [type(each).__name__ for each in seen] == ["Future", "Terminated"]
    assert [each.message for each in heard.dead_letters] == ["dropped"]


async def test_told_to_an_actor_that_has_stopped_is_a_dead_letter(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(Recorder)
    await system.stop(ref)

    ref.tell("late")
    with use_context(tenant="acme"):
        ref.tell("later", sender=ref)

    assert [(each.message, each.sender, each.reason) for each in heard.dead_letters] == [
        ("late", None, Undelivered.STOPPED),
        ("later", ref, Undelivered.STOPPED),
    ]


async def test_an_actor_that_has_stopped_cannot_be_asked(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(Recorder)
    await system.stop(ref)

    with pytest.raises(ActorStopped) as raised:
        await ref.ask("late")

    assert not raised.value.attempted
    assert heard.dead_letters == []


async def test_what_waits_when_an_actor_stops_is_a_dead_letter_and_askers_are_told(
    system: ActorSystem, heard: Heard
) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    at_hand, waiting = asked(ref, gate), asked(ref, "waits")
    await turns()
    ref.tell("told")
    seen.clear()

    stop = asyncio.create_task(system.stop(ref))
    await turns()
    gate.set_result("to its end")
    await stop

    assert await at_hand == "to its end"
    with pytest.raises(ActorStopped) as raised:
        await waiting
    assert not raised.value.attempted
    assert seen == []
    assert {(each.message, each.reason) for each in heard.dead_letters} == {
        ("waits", Undelivered.STOPPED),
        ("told", Undelivered.STOPPED),
    }


async def test_a_hook_that_raises_costs_nobody_anything(caplog: pytest.LogCaptureFixture) -> None:
    def raises(_: Any) -> None:
        raise LookupError("a listener's mistake")

    every: dict[str, Callable[[Any], None]] = dict.fromkeys(ActorHooks.__dataclass_fields__, raises)
    system = ActorSystem("orders", hooks=ActorHooks(**every))
    ref = system.spawn(Recorder)

    assert await ref.ask("received") == "received"
    await system.stop(ref)
    ref.tell("late")

    assert system.dead_letters == {Undelivered.STOPPED: 1}
    assert "an actor hook failed" in caplog.text
