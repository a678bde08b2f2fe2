"""The stash puts aside what comes too early."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorOptions,
    ActorStopped,
    ActorSystem,
    Overflow,
    StashFull,
    Supervision,
    Undelivered,
)
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock

from .cast import Heard, Notes, asked, turns


class Door(Actor):
    """Receives only while it is open; what comes before is put aside."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.open = False

    def receive(self, message: Any) -> Any:
        if message == "open":
            self.open = True
            self.context.unstash()
            return "opened"
        if message == "boom":
            self.context.stash()
            raise LookupError("boom")
        if not self.open:
            self.context.stash()
            return "not the answer"
        self.seen.append(message)
        return f"received {message}"


class SlowDoor(Door):
    async def receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return super().receive(message)


both_doors = pytest.mark.parametrize("door", [Door, SlowDoor])


@both_doors
async def test_what_was_put_aside_comes_first_and_in_its_order(
    system: ActorSystem, seen: list[Any], door: type[Door]
) -> None:
    ref = system.spawn(lambda: door(seen))
    for message in (1, 2, 1, "open", 3):
        ref.tell(message)
    await turns()

    assert seen == [1, 2, 1, 3]


@both_doors
async def test_whose_ask_was_put_aside_is_answered_later(
    system: ActorSystem, seen: list[Any], door: type[Door]
) -> None:
    ref = system.spawn(lambda: door(seen))
    await turns()
    asks = [asked(ref, number) for number in range(3)]
    await turns()
    assert not any(ask.done() for ask in asks)

    with use_context(tenant="acme"):
        assert await ref.ask("open") == "opened"

    assert await asyncio.gather(*asks) == ["received 0", "received 1", "received 2"]


@both_doors
async def test_no_more_is_put_aside_than_may_be(system: ActorSystem, seen: list[Any], door: type[Door]) -> None:
    ref = system.spawn(lambda: door(seen), options=ActorOptions(stash=2, supervision=Supervision(backoff=0.0)))
    await turns()
    ref.tell(1)
    ref.tell(2)

    with pytest.raises(StashFull, match="2 messages are put aside already"):
        await ref.ask(3)

    ref.tell("open")
    await turns()
    assert seen == [1, 2]  # the restart has put them back, and the fresh one has put them aside anew


@both_doors
async def test_a_message_put_aside_that_fails_all_the_same_does_not_come_again(
    system: ActorSystem, heard: Heard, seen: list[Any], door: type[Door]
) -> None:
    ref = system.spawn(lambda: door(seen), options=ActorOptions(supervision=Supervision(backoff=0.0)))
    await turns()
    ref.tell("first")

    with pytest.raises(LookupError):
        await ref.ask("boom")
    ref.tell("open")
    await turns()

    assert seen == ["first"]
    assert len(heard.failures) == 1


async def test_nor_does_it_where_it_has_been_put_back(system: ActorSystem, heard: Heard) -> None:
    def fails(actor: Actor) -> None:
        actor.context.stash()
        actor.context.unstash()
        raise LookupError

    ref = system.spawn(lambda: Notes([]), options=ActorOptions(supervision=Supervision(backoff=0.0)))
    ref.tell(fails)
    await turns()

    assert len(heard.failures) == 1


async def test_a_message_is_put_aside_once(system: ActorSystem, seen: list[Any]) -> None:
    def twice(actor: Actor) -> None:
        actor.context.stash()
        with pytest.raises(RuntimeError, match="no message at hand"):
            actor.context.stash()
        seen.append("put aside")

    ref = system.spawn(lambda: Notes(seen))
    ref.tell(twice)
    await turns()

    assert seen == ["put aside"]


async def test_where_no_message_is_at_hand_nothing_is_put_aside(system: ActorSystem, seen: list[Any]) -> None:
    class Early(Notes):
        def started(self) -> None:
            with pytest.raises(RuntimeError):
                self.context.stash()
            self.seen.append("started")

    actor = Early(seen)
    ref = system.spawn(lambda: actor)
    ref.tell(None)
    await turns()

    with pytest.raises(RuntimeError):
        actor.context.stash()

    assert seen == ["started", None]


@both_doors
async def test_what_is_put_aside_when_an_actor_stops_is_a_dead_letter(
    system: ActorSystem, heard: Heard, seen: list[Any], door: type[Door]
) -> None:
    ref = system.spawn(lambda: door(seen))
    await turns()
    ref.tell("told")
    answer = asked(ref, "asked")
    await turns()

    await system.stop(ref)

    assert isinstance(answer.exception(), ActorStopped)
    assert [(each.message, each.reason) for each in heard.dead_letters] == [
        ("told", Undelivered.STOPPED),
        ("asked", Undelivered.STOPPED),
    ]


@both_doors
async def test_whose_message_was_put_aside_may_still_leave(
    system: ActorSystem, clock: FakeClock, heard: Heard, seen: list[Any], door: type[Door]
) -> None:
    ref = system.spawn(lambda: door(seen))
    await turns()
    answer = asked(ref, "too slow", timeout=1.0)
    await clock.advance(1)

    ref.tell("open")
    await turns()

    assert answer.exception() is not None
    assert seen == []
    assert [each.reason for each in heard.dead_letters] == [Undelivered.ABANDONED]


async def test_a_timers_message_can_be_put_aside_too(system: ActorSystem, clock: FakeClock, seen: list[Any]) -> None:
    class Timed(Door):
        def started(self) -> None:
            self.context.set_timer("t", "ring", after=1.0)

    ref = system.spawn(lambda: Timed(seen), options=ActorOptions(mailbox=1, overflow=Overflow.DROP_OLDEST))
    await clock.advance(1)
    ref.tell("open")
    await turns()

    assert seen == ["ring"]
