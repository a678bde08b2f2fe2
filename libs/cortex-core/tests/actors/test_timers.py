"""Timers tell an actor something later, and die with it."""

from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorOptions,
    ActorSystem,
    Supervision,
)
from cortex_core.kernel import Context, use_context
from cortex_core.testing import FakeClock

from .cast import Heard, Notes, asked, future, turns


async def test_a_timer_tells_the_actor_once(system: ActorSystem, clock: FakeClock, seen: list[Any]) -> None:
    ref = system.spawn(lambda: Notes(seen))
    await ref.ask(lambda actor: actor.context.set_timer("t", "ring", after=2.0))

    await clock.advance(1.9)
    assert seen == []
    await clock.advance(10)

    assert seen == ["ring"]


async def test_a_timer_may_ring_again_and_again(system: ActorSystem, clock: FakeClock, seen: list[Any]) -> None:
    ref = system.spawn(lambda: Notes(seen))
    await ref.ask(lambda actor: actor.context.set_timer("t", "ring", every=2.0))

    await clock.advance(7)
    assert seen == ["ring"] * 3

    await ref.ask(lambda actor: actor.context.cancel_timer("t"))
    await clock.advance(7)
    assert seen == ["ring"] * 3
    assert clock.sleepers == 0


async def test_a_timer_without_a_delay_comes_after_what_waits(
    system: ActorSystem, clock: FakeClock, seen: list[Any]
) -> None:
    ref = system.spawn(lambda: Notes(seen))
    ref.tell(lambda actor: actor.context.set_timer("t", "ring", after=0))
    ref.tell("waits")

    await clock.advance(0)

    assert seen == ["waits", "ring"]


async def test_a_timer_takes_the_place_of_the_one_with_its_key(
    system: ActorSystem, clock: FakeClock, seen: list[Any]
) -> None:
    ref = system.spawn(lambda: Notes(seen))
    for key, message, after in (("a", "first", 1.0), ("a", "second", 2.0), ("b", "other", 1.5)):
        await ref.ask(lambda actor, k=key, m=message, s=after: actor.context.set_timer(k, m, after=s))

    await clock.advance(5)

    assert seen == ["other", "second"]


@pytest.mark.parametrize("renewed", [False, True])
async def test_what_a_timer_has_sent_already_is_taken_back(
    system: ActorSystem, clock: FakeClock, seen: list[Any], renewed: bool
) -> None:
    ref, gate = system.spawn(lambda: Notes(seen)), future()

    async def cancels_late(actor: Notes) -> None:
        await gate
        actor.context.cancel_timer("t")
        actor.context.cancel_timer("nobody's")
        if renewed:
            actor.context.set_timer("t", "new", after=1.0)

    await ref.ask(lambda actor: actor.context.set_timer("t", "old", after=1.0))
    busy = asked(ref, cancels_late, timeout=60)
    await clock.advance(1)  # it rings, and the message waits
    gate.set_result(None)
    await busy
    await clock.advance(1)

    assert seen == (["new"] if renewed else [])


async def test_a_busy_actor_finds_one_message_of_a_repeated_timer(
    system: ActorSystem, clock: FakeClock, seen: list[Any]
) -> None:
    ref, gate = system.spawn(lambda: Notes(seen)), future()
    await ref.ask(lambda actor: actor.context.set_timer("t", "ring", every=1.0))
    busy = asked(ref, lambda _: gate, timeout=60)

    await clock.advance(10)
    gate.set_result(None)
    await busy
    await turns()
    assert seen == ["ring"]
    await clock.advance(1)

    assert seen == ["ring", "ring"]


@pytest.mark.parametrize("how", ["restart", "stop", "passivate"])
async def test_timers_die_with_their_actor(
    system: ActorSystem, clock: FakeClock, heard: Heard, seen: list[Any], how: str
) -> None:
    def fails(_: Actor) -> None:
        raise LookupError

    ref = system.spawn(lambda: Notes(seen), options=ActorOptions(supervision=Supervision(backoff=0.0)))
    for key in range(3):
        await ref.ask(lambda actor, key=key: actor.context.set_timer(key, "ring", every=1.0))

    if how == "restart":
        ref.tell(fails)
    elif how == "stop":
        await system.stop(ref)
    else:
        ref.tell(lambda actor: actor.context.passivate())
    await clock.advance(5)

    assert seen == []
    assert clock.sleepers == 0
    assert heard.dead_letters == []


async def test_a_timer_rings_in_the_context_it_was_set_in_less_its_deadline(
    system: ActorSystem, clock: FakeClock
) -> None:
    actor = Notes([])
    ref = system.spawn(lambda: actor)
    with use_context(tenant="acme", request_id="r", deadline=clock.monotonic() + 5, retry_budget=0.2):
        await ref.ask(lambda actor: actor.context.set_timer("t", "ring", after=1.0))

    await clock.advance(1)

    assert actor.contexts == [Context(tenant="acme", request_id="r")]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "either after or every"),
        ({"after": 1, "every": 1}, "either after or every"),
        ({"after": -1}, "after must be a number of seconds from 0"),
        ({"every": 0}, "every must be a number of seconds above 0"),
        ({"every": float("nan")}, "every must be"),
        ({"after": float("inf")}, "after must be"),
    ],
)
async def test_a_timer_that_is_none_is_refused_and_the_old_one_stays(
    system: ActorSystem, clock: FakeClock, seen: list[Any], settings: dict[str, float], says: str
) -> None:
    def sets(actor: Notes) -> None:
        actor.context.set_timer("t", "old", after=1.0)
        with pytest.raises(ValueError, match=says):
            actor.context.set_timer("t", "new", **settings)

    await system.spawn(lambda: Notes(seen)).ask(sets)
    await clock.advance(1)

    assert seen == ["old"]
