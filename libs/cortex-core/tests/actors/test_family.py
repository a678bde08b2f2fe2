"""Children stop before their parents; names are taken once at a time."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorRef,
    ActorStopped,
    ActorSystem,
    InvalidAddress,
    NameTaken,
    StopReason,
)

from .cast import Does, Heard, Recorder, asked, future, turns


async def spawned(parent: ActorRef, name: str | None = None) -> ActorRef:
    child: ActorRef = await parent.ask(lambda actor: actor.context.spawn(Does, name))
    return child


async def test_a_child_is_addressed_by_its_parents_path(system: ActorSystem) -> None:
    parent = system.spawn(Does, "parent")

    named, unnamed = await spawned(parent, "child"), await spawned(parent)

    assert [str(ref.address) for ref in (named, unnamed)] == ["orders/parent/child", "orders/parent/$1"]
    assert await named.ask(lambda actor: actor.context.parent) == parent
    assert await parent.ask(lambda actor: actor.context.parent) is None
    assert await parent.ask(lambda actor: actor.context.children) == (named, unnamed)
    assert await parent.ask(lambda actor: actor.context.system) is system


async def test_a_child_that_stops_frees_its_name(system: ActorSystem) -> None:
    parent = system.spawn(Does)
    child = await spawned(parent, "child")
    with pytest.raises(NameTaken):
        await parent.ask(lambda actor: actor.context.spawn(Does, "child"))
    parent = system.spawn(Does, "other")
    child = await spawned(parent, "child")

    await parent.ask(lambda actor: actor.context.stop(child))
    await system.watch(child)

    assert await parent.ask(lambda actor: actor.context.children) == ()
    assert await spawned(parent, "child") == child


async def test_children_stop_before_their_parent(system: ActorSystem, heard: Heard) -> None:
    parent = system.spawn(Does, "a")
    child = await spawned(parent, "b")
    grandchild, gate = await spawned(child, "c"), future()
    grandchild.tell(lambda _: asyncio.wait_for(gate, None))
    await turns()
    stop = asyncio.create_task(system.stop(parent))
    await turns()
    assert not stop.done()

    gate.set_result(None)
    await stop

    assert [(str(each.ref.address), each.reason) for each in heard.terminated] == [
        ("orders/a/b/c", StopReason.PARENT),
        ("orders/a/b", StopReason.PARENT),
        ("orders/a", StopReason.ASKED),
    ]
    assert system.size == 0


async def test_an_actor_stops_itself_after_the_message_at_hand(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Does(seen))

    async def stops(actor: Actor) -> str:
        actor.context.stop()
        await asyncio.sleep(0)
        seen.append("to its end")
        return "answered"

    answer, late = asked(ref, stops), asked(ref, "late")
    await turns()

    assert await answer == "answered"
    assert isinstance(late.exception(), ActorStopped)
    assert seen == ["to its end"]
    assert [each.reason for each in heard.terminated] == [StopReason.ASKED]


async def test_an_actor_stops_only_itself_and_its_children(system: ActorSystem) -> None:
    ref, other = system.spawn(Does), system.spawn(Does)

    with pytest.raises(ValueError, match="is no child of"):
        await ref.ask(lambda actor: actor.context.stop(other))


async def test_an_actor_that_is_stopping_has_no_more_children(system: ActorSystem) -> None:
    errors: list[Exception] = []

    class Late(Actor):
        def stopped(self) -> None:
            try:
                self.context.spawn(Does)
            except ActorStopped as error:
                errors.append(error)

    ref = system.spawn(Late)
    await turns()

    await system.stop(ref)

    assert len(errors) == 1
    assert system.size == 0


async def test_an_actor_cannot_wait_for_its_own_end_or_its_parents(system: ActorSystem) -> None:
    parent = system.spawn(Does)
    child, sibling = await spawned(parent), await spawned(parent)

    for ref in (child, parent):
        with pytest.raises(ValueError, match="would wait for its own end"):
            await child.ask(lambda _, ref=ref: system.stop(ref))
        child = await spawned(parent)

    assert await child.ask(lambda _: system.stop(sibling)) is None


async def test_stopping_twice_or_what_has_stopped_is_harmless(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(Does)

    await asyncio.gather(system.stop(ref), system.stop(ref))
    await system.stop(ref)

    assert len(heard.terminated) == 1


async def test_an_actor_that_has_not_begun_can_be_stopped(system: ActorSystem, heard: Heard) -> None:
    born: list[Any] = []
    ref = system.spawn(lambda: Recorder(born))

    await system.stop(ref)

    assert heard.started == []
    assert [each.ref for each in heard.terminated] == [ref]


async def test_a_name_is_taken_once_at_a_time(system: ActorSystem) -> None:
    ref = system.spawn(Does, "mailer")
    with pytest.raises(NameTaken):
        system.spawn(Does, "mailer")

    await system.stop(ref)

    assert system.spawn(Does, "mailer") == ref


async def test_unnamed_actors_have_names_of_their_own(system: ActorSystem) -> None:
    assert [system.spawn(Does).address.path for _ in range(2)] == ["$1", "$2"]


@pytest.mark.parametrize("name", ["", "a/b", "ä", "a b", "a\n", "x" * 201, None, 7])
async def test_a_name_that_no_address_can_hold_is_refused(system: ActorSystem, name: Any) -> None:
    parent = system.spawn(Does)
    with pytest.raises(InvalidAddress):
        ActorSystem(name)
    if name is not None:
        with pytest.raises(InvalidAddress, match="name must be 1 to 200"):
            system.spawn(Does, name)
        with pytest.raises(InvalidAddress):
            await parent.ask(lambda actor: actor.context.spawn(Does, name))


async def test_the_first_reason_to_stop_stands(system: ActorSystem, heard: Heard) -> None:
    parent = system.spawn(Does, "parent")
    child, gate = await spawned(parent, "child"), future()
    child.tell(lambda _: asyncio.wait_for(gate, None))
    await turns()

    stops = [asyncio.create_task(system.stop(child)), asyncio.create_task(system.stop(parent))]
    await turns()
    gate.set_result(None)
    await asyncio.gather(*stops)

    assert [each.reason for each in heard.terminated] == [StopReason.ASKED, StopReason.ASKED]
