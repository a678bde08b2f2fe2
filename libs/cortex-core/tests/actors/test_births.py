"""An actor that does not start, and one whose last words fail."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import (
    Actor,
    ActorFailed,
    ActorSystem,
    Directive,
    StopReason,
)
from cortex_core.testing import FakeClock

from .cast import Heard, Recorder, asked, difficult, supervised, turns


@pytest.mark.parametrize("at", ["birth", "started"])
async def test_an_actor_that_does_not_start_is_tried_again_for_what_was_told(
    system: ActorSystem, heard: Heard, at: str
) -> None:
    seen: list[Any] = []
    ref = system.spawn(difficult(2, lambda: Recorder(seen), at=at), options=supervised())

    ref.tell("told")
    await turns()

    assert seen == ["told"]
    assert [type(each.error) for each in heard.failures] == [ConnectionError] * 2


@pytest.mark.parametrize("at", ["birth", "started"])
async def test_whoever_asks_an_actor_that_does_not_start_gets_its_error_at_once(
    system: ActorSystem, clock: FakeClock, at: str
) -> None:
    seen: list[Any] = []
    factory = difficult(1, lambda: Recorder(seen), at=at)
    system.register("order", lambda _: factory(), supervised(backoff=1.0))
    ref = system.ref("order", "ord_1")
    asks = [asked(ref, number) for number in range(3)]
    asyncio.get_running_loop().call_soon(ref.tell, "told")

    await turns()

    assert [type(ask.exception()) for ask in asks] == [ConnectionError] * 3
    later = asked(ref, "later")
    await clock.advance(1.0)
    assert seen == ["told", "later"]
    assert await later == "later"


async def test_an_actor_that_never_starts_is_stopped_like_any_other(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(difficult(99, Recorder), options=supervised())
    ref.tell("told")

    assert (await system.watch(ref)).reason is StopReason.FAILED
    assert len(heard.failures) == 4
    assert [each.message for each in heard.dead_letters] == ["told"]


async def test_what_has_not_started_cannot_be_resumed(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref = system.spawn(difficult(1, lambda: Recorder(seen)), options=supervised(Directive.RESUME))

    assert [each.directive for each in heard.failures] == []
    ref.tell("told")
    await turns()

    assert [each.directive for each in heard.failures] == [Directive.RESTART]
    assert seen == ["told"]


async def test_what_is_no_actor_does_not_start(system: ActorSystem, heard: Heard) -> None:
    ref = system.spawn(object, options=supervised(max_restarts=0))  # type: ignore[arg-type, return-value]

    assert (await system.watch(ref)).reason is StopReason.FAILED
    assert [type(each.error) for each in heard.failures] == [TypeError]


async def test_a_cancellation_of_its_own_while_it_starts_is_a_failure(system: ActorSystem, heard: Heard) -> None:
    class Cancelled(Actor):
        async def started(self) -> None:
            raise asyncio.CancelledError

    ref = system.spawn(Cancelled, options=supervised(max_restarts=0))

    assert isinstance((await system.watch(ref)).error, ActorFailed)
    assert len(heard.failures) == 1


@pytest.mark.parametrize("hook", ["restarting", "stopped"])
async def test_a_last_hook_that_raises_is_logged(
    system: ActorSystem, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    class Bad(Recorder):
        def restarting(self, error: Exception) -> None:
            if hook == "restarting":
                raise ValueError("in the last hook")

        async def stopped(self) -> None:
            if hook == "stopped":
                raise asyncio.CancelledError

    ref = system.spawn(Bad, "bad", options=supervised())
    ref.tell("boom")
    assert await ref.ask("alive") == "alive"

    await system.stop(ref)

    assert caplog.text.count(f"{hook} of actor orders/bad failed") == 1
