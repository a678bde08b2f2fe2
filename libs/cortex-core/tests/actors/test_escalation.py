"""A failure that is the parent's to judge."""

import asyncio
from typing import Any

from cortex_core.actors import (
    ActorRef,
    ActorSystem,
    Directive,
    StopReason,
)

from .cast import Gate, Heard, Lives, Recorder, difficult, future, supervised, turns


class Parent(Lives):
    """Has one child, which escalates."""

    def started(self) -> None:
        super().started()
        self.child = self.context.spawn(lambda: Lives(self.seen), "child", supervised(Directive.ESCALATE))

    def receive(self, message: Any) -> Any:
        if message == "child":
            return self.child
        return super().receive(message)


async def family(system: ActorSystem, directive: Directive, diary: list[Any]) -> tuple[ActorRef, ActorRef]:
    parent = system.spawn(lambda: Parent(diary), "parent", supervised(directive))
    child = await parent.ask("child")
    await turns()
    diary.clear()
    return parent, child


async def test_escalated_and_resumed_both_go_on_as_they_are(system: ActorSystem) -> None:
    diary: list[Any] = []
    parent, child = await family(system, Directive.RESUME, diary)

    child.tell("boom")
    child.tell("child goes on")
    await turns()
    parent.tell("parent goes on")
    await turns()

    assert diary == ["child goes on", "parent goes on"]


async def test_escalated_and_restarted_the_parent_is_fresh_and_so_is_its_family(
    system: ActorSystem, heard: Heard
) -> None:
    diary: list[Any] = []
    parent, child = await family(system, Directive.RESTART, diary)

    child.tell("boom")
    child.tell("lost with the child")
    await turns()

    assert diary == [("restarting", "boom"), "stopped", "born", "started", "born", "started"]
    assert [(each.ref, each.directive) for each in heard.failures] == [
        (child, Directive.ESCALATE),
        (parent, Directive.RESTART),
    ]
    assert [each.message for each in heard.dead_letters] == ["lost with the child"]
    fresh = await parent.ask("child")
    assert await fresh.ask("alive") == "alive"


async def test_escalated_and_stopped_the_whole_family_is(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []
    parent, child = await family(system, Directive.STOP, diary)

    child.tell("boom")

    assert str((await system.watch(parent)).error) == "boom"
    assert [(each.ref, each.reason) for each in heard.terminated] == [
        (child, StopReason.PARENT),
        (parent, StopReason.FAILED),
    ]


async def test_escalated_from_the_top_it_is_stopped_and_told(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []
    parent, child = await family(system, Directive.ESCALATE, diary)

    child.tell("boom")

    assert (await system.watch(parent)).reason is StopReason.FAILED
    assert [(each.ref, each.directive) for each in heard.failures] == [
        (child, Directive.ESCALATE),
        (parent, Directive.STOP),
    ]


async def test_a_child_waits_until_its_parent_is_at_the_end_of_its_message(system: ActorSystem) -> None:
    diary: list[Any] = []

    class Busy(Parent):
        def receive(self, message: Any) -> Any:
            return message if isinstance(message, asyncio.Future) else super().receive(message)

    parent = system.spawn(lambda: Busy(diary), options=supervised(Directive.RESUME))
    child, gate = await parent.ask("child"), future()
    parent.tell(gate)
    await turns()
    child.tell("boom")
    child.tell("waits")
    await turns()
    assert "waits" not in diary

    gate.set_result(None)
    await turns()

    assert diary[-1] == "waits"


async def test_a_child_that_does_not_start_is_started_again_where_the_parent_is_resumed(system: ActorSystem) -> None:
    seen: list[Any] = []

    class Has(Gate):
        def started(self) -> None:
            factory = difficult(1, lambda: Recorder(seen))
            self.context.spawn(factory, "child", supervised(Directive.ESCALATE)).tell("told")

    system.spawn(Has, options=supervised(Directive.RESUME))
    await turns()

    assert seen == ["told"]


async def test_two_children_that_escalate_are_judged_one_after_the_other(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []

    class Two(Recorder):
        def started(self) -> None:
            for name in ("one", "two"):
                self.context.spawn(lambda: Recorder(diary), name, supervised(Directive.ESCALATE))

        def receive(self, message: Any) -> Any:
            for child in self.context.children:
                child.tell("boom")
                child.tell("after")

    system.spawn(Two, options=supervised(Directive.RESUME)).tell("go")
    await turns()

    assert diary == ["after", "after"]
    assert len(heard.failures) == 4


async def test_two_children_that_escalate_together_restart_their_parent_once(system: ActorSystem, heard: Heard) -> None:
    diary: list[Any] = []

    class Two(Lives):
        def started(self) -> None:
            super().started()
            for name in ("one", "two"):
                self.context.spawn(lambda: Recorder(diary), name, supervised(Directive.ESCALATE))

        def receive(self, message: Any) -> Any:
            for child in self.context.children:
                child.tell("boom")
            return message  # a future: both have failed when it is done

    gate = future()
    parent = system.spawn(lambda: Two(diary), options=supervised(Directive.RESTART))
    parent.tell(gate)
    await turns()
    gate.set_result(None)
    await turns()

    assert [each.directive for each in heard.failures if each.ref == parent] == [Directive.RESTART]
    assert diary.count("born") == 2
