"""Virtual actors: addressed by kind and id, activated on demand, one activation at a time."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorOptions,
    ActorRef,
    ActorSystem,
    StopReason,
    Terminated,
    TooManyActive,
)
from cortex_core.kernel import current, use_context
from cortex_core.testing import FakeClock

from .cast import Heard, Order, Recorder, Register, asked, future, turns


async def test_the_first_message_activates_it(system: ActorSystem, orders: Register) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    await turns()
    assert (Order.activations, system.size) == ([], 0)

    assert await ref.ask("paid") == ["paid"]

    assert str(ref.address) == "orders/order/ord_1"
    assert Order.activations == ["ord_1"]


async def test_two_refs_of_one_id_are_one_actor_and_equal(system: ActorSystem, orders: Register) -> None:
    orders()
    one, same, other = (system.ref("order", each) for each in ("ord_1", "ord_1", "ord_2"))

    await one.ask(1)
    assert await same.ask(2) == [1, 2]
    assert await other.ask(3) == [3]

    assert (one == same, one == other, len({one, same, other})) == (True, False, 2)
    assert one != "orders/order/ord_1"
    assert repr(one) == "ActorRef('orders/order/ord_1')"


async def test_a_thousand_at_once_activate_it_once(system: ActorSystem, orders: Register) -> None:
    orders(mailbox=2_000)

    def tells(number: int) -> None:
        system.ref("order", "ord_1").tell(number)

    for number in range(1_000):
        asyncio.get_running_loop().call_soon(tells, number)
    answers = await asyncio.gather(*(system.ref("order", f"ord_{number % 7}").ask("asked") for number in range(1_000)))

    assert len(answers) == 1_000
    assert sorted(Order.activations) == [f"ord_{number}" for number in range(7)]
    seen = await system.ref("order", "ord_1").ask("last")
    assert [each for each in seen if isinstance(each, int)] == list(range(1_000))


async def test_its_context_is_itself_whatever_the_activation(system: ActorSystem, orders: Register) -> None:
    orders()
    ref = system.ref("order", "ord_1")
    own: ActorRef = await ref.ask(lambda actor: actor.context.self)

    await system.stop(ref)

    assert own == ref
    assert await own.ask("alive") == ["alive"]


async def test_what_comes_while_it_stops_activates_it_anew(system: ActorSystem, heard: Heard, orders: Register) -> None:
    ends, tenants = future(), []

    class Ending(Order):
        async def started(self) -> None:
            tenants.append(current().tenant)
            await super().started()

        async def stopped(self) -> None:
            await ends
            await super().stopped()

    orders()
    system.register("slow", Ending)
    with use_context(tenant="acme"):
        ref, gate = system.ref("slow", "ord_1"), future()
        ref.tell(lambda _: asyncio.wait_for(gate, None))
        await turns()
        ref.tell("before the end")
    stop = asyncio.create_task(system.stop(ref))
    await turns()
    gate.set_result(None)
    await turns()

    ref.tell("meanwhile")
    answer = asked(ref, "asked meanwhile")
    await turns()
    ends.set_result(None)
    await stop

    assert await answer == ["meanwhile", "asked meanwhile"]
    assert Order.most == 1
    assert [each.message for each in heard.dead_letters] == ["before the end"]
    assert tenants == ["acme", "acme"]


async def test_stopping_what_is_not_active_is_harmless(system: ActorSystem, heard: Heard, orders: Register) -> None:
    orders()

    await system.stop(system.ref("order", "ord_1"))

    assert (system.size, heard.terminated, Order.activations) == (0, [], [])


async def test_one_that_failed_too_often_is_there_again_for_the_next_message(
    system: ActorSystem, heard: Heard, orders: Register
) -> None:
    def fails(_: Order) -> None:
        raise LookupError

    orders()
    ref = system.ref("order", "ord_1")
    end = system.watch(ref)
    for _ in range(4):
        ref.tell(fails)

    assert (await end).reason is StopReason.FAILED
    assert await ref.ask("alive") == ["alive"]
    assert len(heard.failures) == 4


async def test_watching_activates_nothing_and_outlives_passivation(
    system: ActorSystem, clock: FakeClock, orders: Register
) -> None:
    orders(idle=1.0)
    ref = system.ref("order", "ord_1")
    end = system.watch(ref)
    await turns()
    assert Order.activations == []

    await ref.ask("once")
    await clock.advance(5)
    assert not end.done()
    await ref.ask("twice")
    await system.stop(ref)

    assert await end == Terminated(ref, StopReason.ASKED)


async def test_one_that_only_watches_is_not_forgotten(system: ActorSystem, clock: FakeClock, orders: Register) -> None:
    orders(idle=1.0)
    ref, watched = system.ref("order", "ord_1"), system.spawn(Recorder)
    await ref.ask(lambda actor: actor.context.watch(watched))
    await clock.advance(5)
    assert Order.active == {"ord_1": 0}

    await system.stop(watched)
    await turns()

    assert await ref.ask("and") == [Terminated(watched, StopReason.ASKED), "and"]
    assert Order.most == 1


async def test_who_watches_one_no_more_is_not_told(system: ActorSystem, orders: Register) -> None:
    orders()
    ref, watcher = system.ref("order", "ord_1"), system.ref("order", "ord_2")
    for active in (True, False):
        await watcher.ask(lambda actor: actor.context.watch(ref))
        if not active:
            await system.stop(ref)
            await turns()
        await watcher.ask(lambda actor: actor.context.unwatch(ref))
        await system.stop(ref)
        await ref.ask("alive")

    assert await watcher.ask("told of") == [Terminated(ref, StopReason.ASKED), "told of"]


async def test_the_same_id_of_two_tenants_is_two_actors(system: ActorSystem, orders: Register) -> None:
    orders()
    public = system.ref("order", "ord_1")
    with use_context(tenant="acme"):
        acme = system.ref("order", "ord_1")
        await acme.ask("acme's")

    assert await public.ask("everybody's") == ["everybody's"]
    assert str(acme.address) == "orders/order/acme/ord_1"
    assert acme != public


async def test_it_starts_and_ends_in_its_tenants_context_whoever_sends(system: ActorSystem, clock: FakeClock) -> None:
    tenants: list[Any] = []

    class Loads(Actor):
        def __init__(self, key: str) -> None:
            tenants.append(current().tenant)

        async def started(self) -> None:
            tenants.append((current().tenant, current().deadline))

        def stopped(self) -> None:
            tenants.append(current().tenant)

        def receive(self, message: Any) -> None:
            tenants.append(current().tenant)

    system.register("order", Loads, ActorOptions(idle=1.0))
    with use_context(tenant="acme", deadline=clock.monotonic() + 1):
        acme = system.ref("order", "ord_1")
    acme.tell("from nobody's context")
    await clock.advance(2)

    assert tenants == ["acme", ("acme", None), "public", "acme"]


async def test_the_one_that_has_rested_longest_makes_room(system: ActorSystem, heard: Heard, orders: Register) -> None:
    orders(max_active=3)
    for each in ("a", "b", "c", "a"):
        await system.ref("order", each).ask("alive")
        await turns()

    await system.ref("order", "d").ask("alive")
    await turns()

    assert heard.passivated == ["order/b"]
    assert {each for each, count in Order.active.items() if count} == {"a", "c", "d"}


async def test_many_at_once_make_room_for_one_another(system: ActorSystem, heard: Heard, orders: Register) -> None:
    orders(max_active=3)
    for each in "abc":
        await system.ref("order", each).ask("alive")
    await turns()

    for each in "def":
        system.ref("order", each).tell("alive")
    with pytest.raises(TooManyActive, match="3 actors of kind order are active, and none is idle") as raised:
        system.ref("order", "g").tell("one too many")
    await turns()

    assert not raised.value.attempted
    assert sorted(heard.passivated) == ["order/a", "order/b", "order/c"]
    assert Order.activations == list("abcdef")


async def test_who_is_on_its_way_out_takes_no_place(system: ActorSystem, heard: Heard, orders: Register) -> None:
    orders()
    leaves = future()

    class Leaving(Order):
        async def stopped(self) -> None:
            if self.key == "a":
                await leaves

    system.register("slow", Leaving, max_active=3)
    for each in "abcd":
        await system.ref("slow", each).ask("alive")  # "a" makes room for "d", and takes its time
    await system.stop(system.ref("slow", "b"))

    await system.ref("slow", "e").ask("alive")
    await turns()

    assert heard.passivated == []
    leaves.set_result(None)
    await turns()
    assert heard.passivated == ["slow/a"]


async def test_who_is_busy_stays(system: ActorSystem, orders: Register) -> None:
    orders(max_active=1)
    gate = future()
    system.ref("order", "busy").tell(lambda _: asyncio.wait_for(gate, None))
    await turns()

    with pytest.raises(TooManyActive):
        await system.ref("order", "other").ask("alive")

    gate.set_result(None)
    await turns()
    assert await system.ref("order", "other").ask("alive") == ["alive"]


async def test_a_virtual_actor_is_never_dead(system: ActorSystem, orders: Register) -> None:
    orders()
    ref = system.ref("order", "ord_1")

    for number in range(3):
        assert await ref.ask(number) == [number]
        await system.stop(ref)
