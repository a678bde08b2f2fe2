"""Whoever cancels an actor's task ends the actor, in whatever phase."""

import asyncio
import subprocess
import sys

import pytest

from cortex_core.actors import (
    ActorStopped,
    ActorSystem,
    StopReason,
)

from .cast import Gate, Heard, Recorder, asked, future, turns


async def test_a_cancelled_task_ends_its_actor_and_its_children(system: ActorSystem, heard: Heard) -> None:
    stopped: list[str] = []

    class Parent(Gate):
        def started(self) -> None:
            self.context.spawn(Gate, "child")

        def stopped(self) -> None:
            stopped.append("parent")

    ref = system.spawn(Parent, "parent")
    answer = asked(ref, future())
    await turns()

    task = next(task for task in asyncio.all_tasks() if task.get_name() == "actor orders/parent")
    task.cancel()
    await turns()

    assert task.cancelled()
    assert isinstance(answer.exception(), ActorStopped)
    assert stopped == ["parent"]
    assert {each.ref.address.path: each.reason for each in heard.terminated} == {
        "parent/child": StopReason.PARENT,
        "parent": StopReason.CANCELLED,
    }
    assert heard.failures == []


@pytest.mark.parametrize("phase", ["rest", "started", "stopped", "restarting", "backoff"])
async def test_a_cancelled_task_ends_its_actor_in_whatever_phase(system: ActorSystem, heard: Heard, phase: str) -> None:
    class Slow(Recorder):
        async def started(self) -> None:
            if phase == "started":
                await future()

        async def stopped(self) -> None:
            if phase == "stopped":
                await future()

        async def restarting(self, error: Exception) -> None:
            if phase == "restarting":
                await future()

    ref = system.spawn(Slow, "slow")
    await turns()
    if phase == "stopped":
        stop = asyncio.create_task(system.stop(ref))
    elif phase in {"restarting", "backoff"}:
        ref.tell("boom")
    await turns()

    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "actor orders/slow"]
    for task in tasks:
        task.cancel()
    await turns()
    for task in tasks:  # one that is stopped by a cancellation may still hang in its last hook
        task.cancel()
    await turns()

    assert [each.reason for each in heard.terminated] == [StopReason.CANCELLED]
    assert system.size == 0
    if phase == "stopped":
        await stop


def test_a_loop_that_is_closed_over_busy_actors_ends_without_noise() -> None:
    program = """
import asyncio
from cortex_core.actors import Actor, ActorSystem

class Busy(Actor):
    async def receive(self, message):
        await asyncio.sleep(message)
    def stopped(self):
        print("stopped")

async def main():
    system = ActorSystem("orders")
    system.register("order", lambda id: Busy())
    system.spawn(Busy).tell(60)
    system.ref("order", "busy").tell(60)
    system.ref("order", "busy").tell(60)
    system.ref("order", "idle").tell(0)
    for _ in range(100):
        await asyncio.sleep(0)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ended.stdout, ended.stderr, ended.returncode) == ("stopped\n" * 3, "", 0)
