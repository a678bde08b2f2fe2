"""One message at a time, each to its end, whatever `receive` is."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorRef, ActorSystem
from cortex_core.kernel import Context, current, use_context

from .cast import Calls, CallsLater, Gate, Recorder, asked, future, turns


class Later(Recorder):
    """Asynchronous."""

    async def receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return super().receive(message)


class Either(Recorder):
    """Plain for even numbers, awaited for all else."""

    def receive(self, message: Any) -> Any:
        if isinstance(message, int) and message % 2 == 0:
            return super().receive(message)
        return self.later(message)

    async def later(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return super().receive(message)


every_kind = pytest.mark.parametrize("kind", [Recorder, Later, Either])
every_doer = pytest.mark.parametrize("kind", [Calls, CallsLater])


@every_kind
async def test_messages_are_received_in_their_order(system: ActorSystem, kind: type[Recorder]) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: kind(seen))

    for number in range(900):
        ref.tell(number)

    assert await ref.ask("last") == "last"
    assert seen == [*range(900), "last"]


@every_kind
async def test_messages_that_come_one_by_one_are_received_too(system: ActorSystem, kind: type[Recorder]) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: kind(seen))

    for number in range(5):
        ref.tell(number)
        await turns(5)

    assert seen == [0, 1, 2, 3, 4]


async def test_a_message_is_received_to_its_end_before_the_next(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Gate(seen))
    gate = future()
    first, second = asked(ref, gate), asked(ref, "second")
    await turns()
    assert seen == [gate]

    gate.set_result("first")

    assert [await first, await second] == ["first", "second"]
    assert seen == [gate, "second"]


async def test_a_plain_receive_that_hands_out_an_awaitable_is_not_left_before_it_is_done(system: ActorSystem) -> None:
    order: list[str] = []
    gate = future()

    async def slow() -> None:
        order.append("begins")
        await gate
        order.append("ends")

    ref = system.spawn(Calls)
    ref.tell(lambda _: slow())
    ref.tell(lambda _: order.append("next"))
    await turns()
    assert order == ["begins"]

    gate.set_result(None)
    await turns()

    assert order == ["begins", "ends", "next"]


@every_doer
async def test_what_receive_answers_may_be_any_awaitable(system: ActorSystem, kind: type[Actor]) -> None:
    class Custom:
        def __await__(self) -> Iterator[Any]:
            return asyncio.sleep(0, "awaited").__await__()

    ref = system.spawn(Calls)

    assert await ref.ask(lambda _: Custom()) == "awaited"
    ref.tell(lambda _: Custom())
    assert await ref.ask(lambda _: None) is None


@every_doer
async def test_receive_can_use_a_timeout_from_its_first_step(system: ActorSystem, kind: type[Actor]) -> None:
    async def too_slow(_: Actor) -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "in time"
        return "never"

    async def tasks(_: Actor) -> list[int]:
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
        return [task.result() for task in made]

    ref = system.spawn(kind)

    for _ in range(2):
        assert await ref.ask(too_slow) == "in time"
        assert await ref.ask(tasks) == [0, 1, 2]


@every_doer
async def test_the_task_of_a_message_is_the_same_from_beginning_to_end(system: ActorSystem, kind: type[Actor]) -> None:
    async def my_tasks(_: Actor) -> tuple[Any, Any]:
        first = asyncio.current_task()
        await asyncio.sleep(0)
        return first, asyncio.current_task()

    ref = system.spawn(kind, "doer")

    first, last = await ref.ask(my_tasks)

    assert first is last
    assert first is not asyncio.current_task()
    assert first.get_name() == "actor orders/doer"


@every_doer
async def test_the_senders_context_is_current_in_receive(system: ActorSystem, kind: type[Actor]) -> None:
    ref = system.spawn(kind)
    seen: list[Context] = []

    with use_context(tenant="acme", request_id="r1") as sent:
        ref.tell(lambda _: seen.append(current()))
        answer = asked(ref, lambda _: current())
    ref.tell(lambda _: seen.append(current()))

    assert await answer is sent
    await turns()
    assert seen[0] is sent
    assert seen[1] == Context()


async def test_the_senders_context_stays_current_while_receive_waits(system: ActorSystem) -> None:
    async def twice(_: Actor) -> list[str]:
        before = current().tenant
        await asyncio.sleep(0)
        return [before, current().tenant]

    ref = system.spawn(Calls)
    with use_context(tenant="acme"):
        answer = asked(ref, twice)

    assert await answer == ["acme", "acme"]
    assert await ref.ask(lambda _: current().tenant) == "public"


async def test_what_else_the_senders_task_has_set_does_not_get_in_and_nothing_gets_out(system: ActorSystem) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    variable.set("the sender's")
    ref, other = system.spawn(Calls), system.spawn(Calls)

    assert await ref.ask(lambda _: (variable.get(), variable.set("the actor's"))[0]) == "unset"

    assert await ref.ask(lambda _: variable.get()) == "the actor's"
    assert await other.ask(lambda _: variable.get()) == "unset"
    assert variable.get() == "the sender's"


async def test_the_sender_is_known_where_it_is_said(system: ActorSystem) -> None:
    ref, sender = system.spawn(Calls), system.spawn(Recorder)
    seen: list[ActorRef | None] = []

    ref.tell(lambda actor: seen.append(actor.context.sender), sender)
    ref.tell(lambda actor: seen.append(actor.context.sender))
    answer = await ref.ask(lambda actor: actor.context.sender, sender=sender)
    await turns()

    assert [*seen, answer] == [sender, None, sender]


async def test_an_actor_with_much_to_do_lets_others_have_their_turn(system: ActorSystem) -> None:
    for kind in (Recorder, Later, Either):
        seen: list[Any] = []
        ref = system.spawn(lambda kind=kind, seen=seen: kind(seen))  # type: ignore[misc]
        await turns()
        for number in range(1000):
            ref.tell(number * 2)

        await turns(3)

        assert 0 < len(seen) < 1000


async def test_a_hop_from_actor_to_actor_needs_no_turn_of_the_loop(system: ActorSystem) -> None:
    hops: list[int] = []

    class Link(Actor):
        next: ActorRef

        def receive(self, message: int) -> None:
            hops.append(message)
            self.next.tell(message + 1)

    links = [Link(), Link()]
    refs = [system.spawn(lambda link=link: link) for link in links]  # type: ignore[misc]
    links[0].next, links[1].next = refs[1], refs[0]
    await turns()
    refs[0].tell(0)

    await turns(2)

    assert 256 <= len(hops) <= 512
    await system.stop(refs[0])


async def test_receive_may_be_told_what_to_do_with_the_loop_of_another_task(system: ActorSystem) -> None:
    """A message from within the task that an actor's `receive` has started is one from outside of its turn."""
    ref = system.spawn(Calls)
    made: list[Awaitable[str]] = []

    def starts(actor: Actor) -> None:
        made.append(asyncio.create_task(actor.context.self.ask(lambda _: "answered")))

    await ref.ask(starts)

    assert await made[0] == "answered"


async def test_an_actor_with_much_to_do_lets_the_next_actor_have_its_turn(system: ActorSystem) -> None:
    seen: list[Any] = []
    busy, other = system.spawn(lambda: Recorder(seen)), system.spawn(lambda: Recorder(seen))
    await turns()
    for number in range(200):
        busy.tell(number)
    other.tell("other")

    await turns(2)

    assert seen.index("other") == 64
    assert [each for each in seen if each != "other"] == list(range(200))
