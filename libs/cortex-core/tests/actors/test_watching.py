"""Watchers are told once."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    ActorRef,
    ActorSystem,
    StopReason,
    Terminated,
)
from cortex_core.testing import FakeClock

from .cast import Does, Gate, Heard, Recorder, asked, future, turns


async def watching(system: ActorSystem, ref: ActorRef, seen: list[Any]) -> ActorRef:
    watcher = system.spawn(lambda: Does(seen))
    await watcher.ask(lambda actor: actor.context.watch(ref))
    return watcher


async def test_a_watcher_is_told_once(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = system.spawn(Does)
    watcher = await watching(system, ref, seen)
    await watcher.ask(lambda actor: actor.context.watch(ref))

    await system.stop(ref)
    await system.stop(ref)
    await turns()

    assert seen == [Terminated(ref, StopReason.ASKED)]


async def test_who_watches_what_is_no_more_is_told_at_once(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = system.spawn(Does)
    await system.stop(ref)

    watcher = await watching(system, ref, seen)
    await turns()
    await watcher.ask(lambda actor: actor.context.watch(ref))
    await turns()

    assert seen == [Terminated(ref, StopReason.ASKED)] * 2
    assert (await system.watch(ref)) == seen[0]


async def test_who_watches_no_more_is_not_told_even_if_it_was_on_its_way(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref, gone = system.spawn(Does), system.spawn(Does)
    watcher, gate = await watching(system, ref, seen), future()
    await watcher.ask(lambda actor: actor.context.watch(gone))

    async def unwatches_late(actor: Does) -> None:
        await gate
        actor.context.unwatch(gone)
        actor.context.unwatch(gone)

    await watcher.ask(lambda actor: actor.context.unwatch(ref))
    busy = asked(watcher, unwatches_late)
    await turns()
    await asyncio.gather(system.stop(ref), system.stop(gone))
    gate.set_result(None)
    await busy
    await turns()

    assert seen == []


async def test_watched_again_while_the_notice_waits_it_is_told_once(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = system.spawn(Does)
    watcher, gate = await watching(system, ref, seen), future()

    async def watches_again(actor: Does) -> None:
        await gate
        actor.context.unwatch(ref)
        actor.context.watch(ref)

    busy = asked(watcher, watches_again)
    await turns()
    await system.stop(ref)
    gate.set_result(None)
    await busy
    await turns()

    assert seen == [Terminated(ref, StopReason.ASKED)]


async def test_a_notice_is_no_dead_letter_where_its_watcher_stops_before_its_turn(
    system: ActorSystem, heard: Heard
) -> None:
    seen: list[Any] = []
    early, late = system.spawn(Does), system.spawn(Does)
    gate, ends = future(), future()

    class Watches(Gate):
        def started(self) -> None:
            self.context.watch(early)
            self.context.watch(late)

        async def stopped(self) -> None:
            await ends

    watcher = system.spawn(lambda: Watches(seen))
    watcher.tell(gate)
    await turns()
    stop = asyncio.create_task(system.stop(watcher))
    await system.stop(early)  # the notice waits behind the message at hand …
    gate.set_result(None)
    await turns()
    await system.stop(late)  # … and this one comes while the watcher stops
    ends.set_result(None)
    await stop

    assert seen == [gate]
    assert heard.dead_letters == []


async def test_a_watcher_that_stops_is_forgotten(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(Does)
    watcher = await watching(system, ref, [])

    await system.stop(watcher)
    await system.stop(ref)

    assert heard.dead_letters == []


async def test_a_watcher_is_told_after_its_own_restart_too(system: ActorSystem, clock: FakeClock) -> None:
    seen: list[Any] = []
    ref = system.spawn(Does)

    class Watches(Recorder):
        def receive(self, message: Any) -> Any:
            if isinstance(message, ActorRef):
                self.context.watch(message)
                return super().receive("boom")
            return super().receive(message)

    watcher = system.spawn(lambda: Watches(seen))
    watcher.tell(ref)
    await turns()
    await system.stop(ref)
    await clock.advance(5)

    assert seen == [Terminated(ref, StopReason.ASKED)]


async def test_an_actor_cannot_watch_itself(system: ActorSystem) -> None:
    with pytest.raises(ValueError, match="cannot watch itself"):
        await system.spawn(Does).ask(lambda actor: actor.context.watch(actor.context.self))


async def test_who_does_not_want_to_wait_for_an_end_any_longer_cancels(system: ActorSystem) -> None:
    ref = system.spawn(Gate)
    end, other = system.watch(ref), system.watch(ref)

    end.cancel()
    await system.stop(ref)

    assert end.cancelled()
    assert (await other).ref == ref


async def test_a_watcher_cancelled_at_the_same_moment_costs_the_others_nothing(system: ActorSystem) -> None:
    """The callback that forgets it has not run when the actor ends."""
    ref = system.spawn(Gate)
    first, second = system.watch(ref), system.watch(ref)
    first.add_done_callback(lambda _: None)

    stop = asyncio.create_task(system.stop(ref))
    while not second.done():
        first.cancel()
        await asyncio.sleep(0)
    await stop

    assert (await second).ref == ref


async def test_what_a_stopped_watcher_watched_can_leave_memory(system: ActorSystem) -> None:
    system.register("order", lambda _: Recorder())
    ref = system.ref("order", "ord_1")
    watcher = await watching(system, ref, [])
    assert system.size == 1

    await system.stop(watcher)
    await system.stop(ref)
    watcher = await watching(system, ref, [])
    ref.tell("alive")
    await system.stop(watcher)
    await turns()

    assert system.size == 1
    assert not system._kinds["order"].watchers
