"""Who is not needed leaves memory, and nothing that comes meanwhile is lost."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    ActorOptions,
    ActorSystem,
    StopReason,
)
from cortex_core.testing import FakeClock

from .cast import Heard, Order, Recorder, Register, asked, future, turns


async def test_an_idle_actor_leaves_memory_and_comes_back(
    system: ActorSystem, clock: FakeClock, heard: Heard, orders: Register
) -> None:
    orders(idle=10.0)
    ref = system.ref("order", "ord_1")
    await ref.ask("first")
    await clock.advance(9.9)
    assert system.size == 1

    await clock.advance(0.2)

    assert (system.size, heard.passivated, heard.terminated) == (0, ["order/ord_1"], [])
    assert clock.sleepers == 0
    assert await ref.ask("second") == ["second"]
    assert Order.most == 1


async def test_a_message_keeps_it_in_memory_for_as_long_again(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(idle=10.0)
    ref = system.ref("order", "ord_1")
    await ref.ask(0)
    for number in range(1, 4):
        await clock.advance(7)
        await ref.ask(number)
    await clock.advance(9.9)

    assert await ref.ask("still") == [0, 1, 2, 3, "still"]
    assert Order.activations == ["ord_1"]


async def test_a_message_that_lasts_longer_than_its_idle_time_is_received_to_its_end(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(idle=1.0)
    ref, gate = system.ref("order", "ord_1"), future()
    await ref.ask("it has rested")
    answer = asked(ref, lambda _: asyncio.wait_for(gate, None), timeout=60)
    await clock.advance(10)
    gate.set_result("to its end")
    assert await answer == "to its end"
    assert system.size == 1

    await clock.advance(1)

    assert system.size == 0


@pytest.mark.parametrize("by", ["tell", "ask"])
async def test_what_comes_while_it_leaves_activates_it_anew(
    system: ActorSystem, clock: FakeClock, orders: Register, by: str
) -> None:
    leaves = future()

    class Leaving(Order):
        async def stopped(self) -> None:
            if not leaves.done():
                await leaves
            await super().stopped()

    system.register("slow", Leaving, ActorOptions(idle=1.0))
    orders()
    ref = system.ref("slow", "ord_1")
    await ref.ask("before")
    await clock.advance(1)

    if by == "tell":
        ref.tell("meanwhile")
    answer = asked(ref, "asked")
    await turns()
    assert not answer.done()
    leaves.set_result(None)

    assert await answer == (["meanwhile", "asked"] if by == "tell" else ["asked"])
    assert Order.activations == ["ord_1", "ord_1"]
    assert Order.most == 1


async def test_an_actor_can_leave_by_itself_and_what_waits_is_for_the_next(
    system: ActorSystem, heard: Heard, orders: Register
) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    await ref.ask("before")

    ref.tell(lambda actor: actor.context.passivate())
    ref.tell("after")

    assert await ref.ask("last") == ["after", "last"]
    assert heard.passivated == ["order/ord_1"]
    assert heard.dead_letters == []


async def test_what_is_put_aside_when_it_leaves_is_for_the_next(system: ActorSystem, orders: Register) -> None:
    def aside(actor: Order) -> list[Any]:
        if not Order.slow:
            Order.slow = True
            actor.context.stash()
            actor.context.passivate()
        return actor.seen

    orders()
    Order.slow = False
    ref = system.ref("order", "ord_1")

    assert await ref.ask(aside) == []
    assert Order.activations == ["ord_1", "ord_1"]


@pytest.mark.parametrize("busy_with", ["child", "timer", "stash"])
async def test_who_waits_for_something_is_not_idle(
    system: ActorSystem, clock: FakeClock, orders: Register, busy_with: str
) -> None:
    orders(idle=1.0)
    ref = system.ref("order", "ord_1")

    def begins(actor: Order) -> Any:
        if busy_with == "child":
            return actor.context.spawn(Recorder, "child")
        if busy_with == "timer":
            return actor.context.set_timer("t", "ring", after=30.0)
        return actor.context.stash()

    def ends(actor: Order) -> None:
        for child in actor.context.children:
            actor.context.stop(child)
        actor.context.cancel_timer("t")

    ref.tell(begins)
    await clock.advance(20)
    assert system.size >= 1

    if busy_with == "stash":
        await system.stop(ref)
    ref.tell(ends)
    await clock.advance(5)

    assert system.size == 0


async def test_children_stop_when_their_parent_leaves(system: ActorSystem, heard: Heard, orders: Register) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    child = await ref.ask(lambda actor: actor.context.spawn(Recorder, "child"))

    await ref.ask(lambda actor: actor.context.passivate())
    await turns()

    assert [(each.ref, each.reason) for each in heard.terminated] == [(child, StopReason.PARENT)]
    assert system.size == 0


async def test_a_spawned_actor_leaves_memory_too_and_keeps_its_place(
    system: ActorSystem, clock: FakeClock, heard: Heard
) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Recorder(seen), "mailer", ActorOptions(idle=1.0))
    ref.tell("one")
    await clock.advance(5)
    assert (heard.passivated, system.size) == (["mailer"], 1)

    ref.tell("two")
    await turns()

    assert seen == ["one", "two"]
    assert heard.started == ["mailer", "mailer"]
    await clock.advance(5)
    await system.stop(ref)
    assert [each.reason for each in heard.terminated] == [StopReason.ASKED]


async def test_a_stop_that_comes_while_it_leaves_is_heard(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    leaves = future()

    class Leaving(Recorder):
        async def stopped(self) -> None:
            await leaves

    ref = system.spawn(Leaving, options=ActorOptions(idle=1.0))
    await clock.advance(2)
    stop = asyncio.create_task(system.stop(ref))
    await turns()

    leaves.set_result(None)
    await stop

    assert len(heard.terminated) == 1
