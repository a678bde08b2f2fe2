"""What nobody receives leaves nothing behind: no cell, no place taken, no watcher."""

import asyncio
import gc
from typing import Any

import pytest

from cortex_core.actors import (
    ActorRef,
    ActorSystem,
    AskTimeout,
    Drained,
    StopReason,
    SystemDraining,
    Terminated,
    TooManyActive,
)
from cortex_core.kernel import use_context
from cortex_core.testing import FakeClock

from .cast import Heard, Order, Recorder, Register, asked, future, turns


async def asks_late(system: ActorSystem, key: str) -> None:
    with use_context(deadline=0.0), pytest.raises(AskTimeout, match="the deadline had passed") as raised:
        await system.ref("order", key).ask("late")
    assert not raised.value.attempted


async def test_an_ask_past_its_deadline_makes_no_actor(system: ActorSystem, orders: Register) -> None:
    orders()

    for number in range(10):
        await asks_late(system, f"ord_{number}")
    await turns()

    assert (system.size, Order.activations) == (0, [])


async def test_an_ask_that_may_not_wait_makes_no_actor(system: ActorSystem, orders: Register) -> None:
    orders()

    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout must be"):
            await system.ref("order", f"ord_{timeout}").ask("never", timeout=timeout)
    await turns()

    assert (system.size, Order.activations) == (0, [])


async def test_late_asks_take_no_place_and_send_nobody_away(
    system: ActorSystem, heard: Heard, orders: Register
) -> None:
    orders(max_active=2)
    await system.ref("order", "rests").ask("alive")

    for number in range(10):
        await asks_late(system, f"ord_{number}")
    await turns()

    assert heard.passivated == []
    assert await system.ref("order", "other").ask("alive") == ["alive"]


async def test_watching_what_is_not_active_takes_no_place(system: ActorSystem, orders: Register) -> None:
    orders(max_active=2)
    ends = [system.watch(system.ref("order", f"ord_{number}")) for number in range(10)]

    assert await system.ref("order", "other").ask("alive") == ["alive"]

    assert system.size == 1
    assert not any(end.done() for end in ends)


async def test_a_watch_that_is_cancelled_leaves_nothing(system: ActorSystem, orders: Register) -> None:
    orders()
    ends = [system.watch(system.ref("order", f"ord_{number}")) for number in range(10)]

    for end in ends:
        end.cancel()
    await turns()

    assert system.size == 0
    assert not system._kinds["order"].watchers


async def test_an_actor_that_watched_and_stops_leaves_nothing(system: ActorSystem, orders: Register) -> None:
    orders()
    watcher = system.ref("order", "watcher")
    for number in range(10):
        other = system.ref("order", f"ord_{number}")
        await watcher.ask(lambda actor, other=other: actor.context.watch(other))
    assert system.size == 1

    await system.stop(watcher)

    assert system.size == 0
    assert not system._kinds["order"].watchers


async def test_who_is_watched_leaves_memory_like_anybody(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(idle=1.0)
    ref = system.ref("order", "ord_1")
    end = system.watch(ref)
    await ref.ask("alive")

    await clock.advance(5)

    assert system.size == 0
    assert not end.done()


async def test_stopping_what_is_watched_and_not_active_tells_the_watcher(
    system: ActorSystem, heard: Heard, orders: Register
) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    end = system.watch(ref)

    await system.stop(ref)

    assert await end == Terminated(ref, StopReason.ASKED)
    assert heard.terminated == []  # nobody was there


async def test_a_drain_tells_who_watches_what_is_not_active(system: ActorSystem, orders: Register) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    end = system.watch(ref)

    await system.drain(within=1.0)

    assert await end == Terminated(ref, StopReason.DRAINED)
    with pytest.raises(SystemDraining):
        system.watch(ref)


async def test_one_out_of_memory_that_watches_takes_no_place(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(max_active=1, idle=1.0)
    watched = system.spawn(Recorder)
    await system.ref("order", "watcher").ask(lambda actor: actor.context.watch(watched))
    await clock.advance(5)

    assert await system.ref("order", "other").ask("alive") == ["alive"]


async def test_one_out_of_memory_that_watches_needs_a_place_to_come_back(
    system: ActorSystem, clock: FakeClock, heard: Heard, orders: Register
) -> None:
    orders(max_active=1, idle=1.0)
    watched, watcher = system.spawn(Recorder), system.ref("order", "watcher")
    await watcher.ask(lambda actor: actor.context.watch(watched))
    await clock.advance(5)
    gate = future()
    busy = asked(system.ref("order", "busy"), lambda _: asyncio.wait_for(gate, None))
    await turns()

    with pytest.raises(TooManyActive):
        await watcher.ask("alive")
    gate.set_result(None)
    await busy
    assert await watcher.ask("alive") == ["alive"]
    await turns()
    assert heard.passivated[-1] == "order/busy"


async def test_who_was_on_its_way_out_and_comes_back_takes_a_place_again(system: ActorSystem, clock: FakeClock) -> None:
    leaves = future()

    class Leaving(Recorder):
        async def stopped(self) -> None:
            await leaves

    system.register("slow", lambda _: Leaving(), max_active=1)
    await system.ref("slow", "a").ask("alive")
    await system.ref("slow", "b").ask("alive")  # "a" makes room, and takes its time
    system.ref("slow", "a").tell("back")
    leaves.set_result(None)
    await turns()
    assert system.size == 2

    await system.ref("slow", "c").ask("alive")
    await turns()

    assert system.size == 1


async def test_a_thousand_that_come_and_go_leave_no_objects(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    def cells() -> int:
        gc.collect()
        return sum(type(each).__name__ == "Cell" for each in gc.get_objects())

    orders(idle=1.0)
    before = cells()
    for number in range(200):
        await system.ref("order", f"ord_{number}").ask("alive")
        await asks_late(system, f"late_{number}")
    assert system.size == 200
    await clock.advance(5)

    assert (system.size, clock.sleepers) == (0, 0)
    assert cells() - before <= 1  # the one that was asked last may still be somebody's local


async def test_it_may_be_asked_again_after_whatever_was_refused(system: ActorSystem, orders: Register) -> None:
    orders(max_active=1)
    ref = system.ref("order", "ord_1")
    answers: list[Any] = []

    for _ in range(3):
        await asks_late(system, "ord_1")
        answers.append(await ref.ask("alive"))

    assert answers[-1] == ["alive"] * 3
    assert Order.activations == ["ord_1"]


async def test_one_that_comes_back_has_its_place_at_once(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(max_active=1, idle=1.0)
    watched, watcher = system.spawn(Recorder), system.ref("order", "watcher")
    await watcher.ask(lambda actor: actor.context.watch(watched))
    await clock.advance(5)

    watcher.tell("back")
    with pytest.raises(TooManyActive):
        system.ref("order", "other").tell("alive")


async def test_a_drain_tells_nobody_of_an_end_that_has_not_come(system: ActorSystem, clock: FakeClock) -> None:
    ends = future()

    class Ending(Recorder):
        async def stopped(self) -> None:
            await ends

    system.register("slow", lambda _: Ending())
    ref = system.ref("slow", "ord_1")
    await ref.ask("alive")
    end = system.watch(ref)

    drain = asyncio.create_task(system.drain(within=1.0))
    await turns()
    assert not end.done()
    ends.set_result(None)
    await drain

    assert await end == Terminated(ref, StopReason.DRAINED)


async def test_who_waits_for_the_end_of_one_that_is_not_active_does_not_keep_a_drain(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders()
    absent = system.ref("order", "absent")
    answer = asked(system.ref("order", "waits"), lambda actor: _end_of(system, absent), timeout=60)
    await turns()

    drain = asyncio.create_task(system.drain(within=1.0))
    await turns()
    await clock.advance(1)
    await turns()

    assert await answer is StopReason.DRAINED
    assert await drain == Drained(left=0, interrupted=0)


async def test_who_begins_to_watch_while_it_stops_is_told_by_the_end_of_a_drain(
    system: ActorSystem, orders: Register
) -> None:
    orders()
    absent = system.ref("order", "absent")
    ends: list[asyncio.Future[Terminated]] = []

    class Watches(Recorder):
        def stopped(self) -> None:
            ends.append(system.watch(absent))

    await system.spawn(Watches).ask("alive")
    await system.drain(within=1.0)

    assert [await end for end in ends] == [Terminated(absent, StopReason.DRAINED)]


async def _end_of(system: ActorSystem, ref: ActorRef) -> StopReason:
    return (await system.watch(ref)).reason
