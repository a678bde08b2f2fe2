"""A drain finishes what is there, takes nothing new, and ends in time."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorOptions,
    ActorRef,
    ActorStopped,
    ActorSystem,
    Drained,
    StopReason,
    Supervision,
    SystemDraining,
    Undelivered,
)
from cortex_core.testing import FakeClock

from .cast import Gate, Heard, Recorder, asked, future, turns


async def drained(system: ActorSystem, clock: FakeClock, within: float = 5.0) -> Drained:
    drain = asyncio.create_task(system.drain(within))
    while not drain.done():
        await clock.advance(0.5)
    return await drain


async def test_what_waits_is_received_and_then_everybody_stops(
    system: ActorSystem, clock: FakeClock, heard: Heard
) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    system.register("order", lambda _: Recorder(seen))
    ref.tell(gate)
    for number in range(500):
        ref.tell(number)
    system.ref("order", "ord_1").tell("virtual")
    asyncio.get_running_loop().call_later(0.01, gate.set_result, None)

    report = await system.drain(within=5)

    assert report == Drained(left=0, interrupted=0)
    assert len(seen) == 502
    assert {each.reason for each in heard.terminated} == {StopReason.DRAINED}
    assert system.size == 0
    assert clock.monotonic() == 0.0
    assert clock.sleepers == 0


async def test_whoever_comes_from_outside_is_refused(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    system.register("order", lambda _: Recorder(seen))
    ref.tell(gate)
    await turns()
    drain = asyncio.create_task(system.drain(within=5))
    await turns()

    with pytest.raises(SystemDraining) as raised:
        ref.tell("new")
    with pytest.raises(SystemDraining):
        await ref.ask("new")
    with pytest.raises(SystemDraining):
        system.spawn(Recorder)
    with pytest.raises(SystemDraining):
        system.ref("order", "ord_1").tell("new")

    assert (raised.value.code, raised.value.attempted) == ("actor.system-draining", False)
    gate.set_result(None)
    assert await drain == Drained(0, 0)
    assert seen == [gate]
    with pytest.raises(SystemDraining):
        system.spawn(Recorder)
    ref.tell("it has stopped, and so does not wait")
    assert system.dead_letters == {Undelivered.STOPPED: 1}


async def test_actors_finish_among_themselves(system: ActorSystem, clock: FakeClock) -> None:
    """Messages, asks, children and activations that a message at hand brings about are still part of it."""
    seen: list[Any] = []
    gate = future()

    class Works(Actor):
        async def receive(self, message: Any) -> None:
            await gate
            other.tell("told")
            await other.ask("asked")
            self.context.spawn(lambda: Recorder(seen)).tell("child's")
            await system.ref("order", "ord_1").ask("virtual's")

    other = system.spawn(lambda: Recorder(seen))
    system.register("order", lambda _: Recorder(seen))
    system.spawn(Works).tell("work")
    await turns()
    drain = asyncio.create_task(system.drain(within=5))
    await turns()
    gate.set_result(None)

    assert await drain == Drained(0, 0)
    assert sorted(seen) == ["asked", "child's", "told", "virtual's"]


async def test_an_actor_of_another_system_comes_from_outside(clock: FakeClock, system: ActorSystem) -> None:
    other = ActorSystem("other", clock=clock)
    gate, errors = future(), []

    class Tells(Actor):
        def receive(self, ref: ActorRef) -> None:
            try:
                ref.tell("from outside")
            except SystemDraining as error:
                errors.append(error)

    ref, teller = system.spawn(Gate), other.spawn(Tells)
    ref.tell(gate)
    await turns()
    drain = asyncio.create_task(system.drain(within=5))
    await turns()

    teller.tell(ref)
    await turns()

    assert len(errors) == 1
    gate.set_result(None)
    await drain
    await other.drain(within=0)


async def test_what_is_left_when_the_time_is_over_is_counted(
    system: ActorSystem, clock: FakeClock, heard: Heard
) -> None:
    ref = system.spawn(Gate, "hangs")
    at_hand, waiting = asked(ref, future(), timeout=60), asked(ref, "waits", timeout=60)
    await turns()
    for number in range(3):
        ref.tell(number)

    report = await drained(system, clock)

    assert report == Drained(left=4, interrupted=1)
    assert [each.reason for each in heard.terminated] == [StopReason.CANCELLED]
    error = at_hand.exception()
    assert isinstance(error, ActorStopped)
    assert error.attempted
    assert isinstance(waiting.exception(), ActorStopped)
    assert len(heard.dead_letters) == 4
    assert 6.0 <= clock.monotonic() <= 7.0
    assert system.size == 0


async def test_who_swallows_its_cancellation_is_left_behind(system: ActorSystem, clock: FakeClock) -> None:
    let_go = future()

    class Stubborn(Actor):
        async def receive(self, message: Any) -> None:
            while not let_go.done():
                try:
                    await asyncio.shield(let_go)
                except asyncio.CancelledError:
                    continue

    system.spawn(Stubborn).tell("stay")
    await turns()

    report = await drained(system, clock)

    assert report == Drained(left=0, interrupted=1)
    assert clock.monotonic() <= 8.0
    let_go.set_result(None)
    await turns()
    assert system.size == 0


async def test_an_actor_that_waits_for_its_restart_is_waited_for(system: ActorSystem, clock: FakeClock) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Recorder(seen), options=ActorOptions(supervision=Supervision(backoff=2.0)))
    ref.tell("boom")
    ref.tell("waits")
    await turns()

    assert await drained(system, clock) == Drained(0, 0)

    assert seen == ["waits"]


async def test_what_was_put_aside_counts_as_left(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    class Aside(Actor):
        def receive(self, message: Any) -> None:
            self.context.stash()

    system.spawn(Aside).tell("for later")
    await turns()

    assert await drained(system, clock) == Drained(left=1, interrupted=0)
    assert [each.message for each in heard.dead_letters] == ["for later"]


async def test_without_time_nobody_waits_for_what_waits(system: ActorSystem, clock: FakeClock, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    ref.tell(gate)
    await turns()
    ref.tell("waits")
    drain = asyncio.create_task(system.drain(within=0))
    await turns()
    gate.set_result(None)

    assert await drain == Drained(left=1, interrupted=0)
    assert clock.monotonic() == 0.0
    assert [each.reason for each in heard.terminated] == [StopReason.DRAINED]


async def test_draining_twice_is_harmless(system: ActorSystem) -> None:
    system.spawn(Recorder)

    assert await asyncio.gather(system.drain(within=1), system.drain(within=1)) == [Drained(0, 0)] * 2
    assert await system.drain(within=0) == Drained(0, 0)


@pytest.mark.parametrize("within", [-1, float("nan"), float("inf"), "1", None])
async def test_a_bound_that_is_none_is_refused(system: ActorSystem, within: Any) -> None:
    with pytest.raises(ValueError, match="within must be a number of seconds from 0"):
        await system.drain(within)

    system.spawn(Recorder)  # nothing has begun to drain
