"""An ask ends: with an answer, an error, or in time."""

import asyncio
from typing import Any

import pytest

from cortex_core.actors import Actor, ActorRef, ActorSystem, AskSelf, AskTimeout, Undelivered
from cortex_core.kernel import Kind, use_context
from cortex_core.testing import FakeClock

from .cast import Gate, Heard, Recorder, asked, future, turns


async def test_no_answer_in_time_is_an_error_and_the_message_is_received_to_its_end(
    system: ActorSystem, clock: FakeClock
) -> None:
    ended: list[Any] = []

    class Slow(Actor):
        async def receive(self, message: "asyncio.Future[Any]") -> None:
            ended.append(await message)

    ref, gate = system.spawn(Slow), future()
    answer = asked(ref, gate, timeout=2.0)
    await clock.advance(1.9)
    assert not answer.done()

    await clock.advance(0.2)

    with pytest.raises(AskTimeout, match=r"within 2\.000 s") as raised:
        await answer
    assert (raised.value.code, raised.value.kind, raised.value.attempted) == ("actor.ask-timeout", Kind.TIMEOUT, True)
    assert isinstance(raised.value, TimeoutError)
    gate.set_result("to its end")
    await turns()
    assert ended == ["to its end"]


async def test_who_waits_five_seconds_unless_it_is_said(system: ActorSystem, clock: FakeClock) -> None:
    answer = asyncio.create_task(system.spawn(Gate).ask(future()))

    await clock.advance(4.9)
    assert not answer.done()
    await clock.advance(0.2)

    assert isinstance(answer.exception(), AskTimeout)


async def test_a_message_whose_asker_has_left_before_its_turn_is_not_received(
    system: ActorSystem, clock: FakeClock, heard: Heard
) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    ref.tell(gate)
    timed_out, cancelled = asked(ref, "timed out", timeout=1.0), asked(ref, "cancelled")
    await clock.advance(1.0)
    cancelled.cancel()
    await turns()

    gate.set_result(None)
    await turns()

    error = timed_out.exception()
    assert isinstance(error, AskTimeout)
    assert not error.attempted
    assert seen == [gate]
    assert [(each.message, each.reason) for each in heard.dead_letters] == [
        ("timed out", Undelivered.ABANDONED),
        ("cancelled", Undelivered.ABANDONED),
    ]


async def test_cancelling_the_asker_does_not_interrupt_the_message(system: ActorSystem, heard: Heard) -> None:
    seen: list[Any] = []
    ref, gate = system.spawn(lambda: Gate(seen)), future()
    answer = asked(ref, gate)
    await turns()

    answer.cancel()
    await turns()

    assert not gate.cancelled()
    gate.set_result(None)
    assert await ref.ask("next") == "next"
    assert heard.failures == []


async def test_the_asker_gets_the_error_of_receive(system: ActorSystem) -> None:
    ref = system.spawn(Recorder)

    with pytest.raises(LookupError, match="boom"):
        await ref.ask("boom")


async def test_the_callers_deadline_ends_the_wait_where_it_is_sooner(system: ActorSystem, clock: FakeClock) -> None:
    ref = system.spawn(Gate)
    with use_context(deadline=clock.monotonic() + 1.5):
        answer = asked(ref, future(), timeout=5.0)
    await clock.advance(1.4)
    assert not answer.done()

    await clock.advance(0.2)

    assert isinstance(answer.exception(), AskTimeout)


async def test_a_caller_without_time_asks_nothing(system: ActorSystem, clock: FakeClock) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Recorder(seen))
    await turns()

    with use_context(deadline=clock.monotonic()), pytest.raises(AskTimeout, match="deadline had passed") as raised:
        await ref.ask("too late")

    assert not raised.value.attempted
    await turns()
    assert seen == []


async def test_a_deadline_further_away_than_the_timeout_changes_nothing(system: ActorSystem, clock: FakeClock) -> None:
    with use_context(deadline=clock.monotonic() + 10):
        answer = asked(system.spawn(Gate), future(), timeout=1.0)

    await clock.advance(1.0)

    assert isinstance(answer.exception(), AskTimeout)


async def test_no_timer_is_left_behind(system: ActorSystem, clock: FakeClock) -> None:
    plain, other = system.spawn(Recorder), system.spawn(Gate)

    await asyncio.gather(*(ref.ask(number) for ref in (plain, other) for number in range(20)))
    cancelled = asked(other, future())
    await turns()
    cancelled.cancel()
    await turns()

    assert clock.sleepers == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1", None, True])
async def test_a_timeout_that_is_none_is_refused(system: ActorSystem, timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout must be a number of seconds above 0"):
        await system.spawn(Recorder).ask("anything", timeout)


class Asks(Actor):
    """Asks the first of the refs it is sent, for the rest of them."""

    async def receive(self, message: list[ActorRef]) -> Any:
        return await message[0].ask(message[1:]) if message else "answered"


async def test_an_actor_that_asks_itself_is_told_at_once(system: ActorSystem) -> None:
    ref = system.spawn(Asks, "narcissus")

    with pytest.raises(AskSelf, match="orders/narcissus asks orders/narcissus, which waits for it") as raised:
        await ref.ask([ref])

    assert (raised.value.code, raised.value.attempted) == ("actor.ask-self", False)
    assert isinstance(raised.value, ValueError)


async def test_a_plain_receive_that_hands_out_an_ask_of_itself_is_told_too(system: ActorSystem) -> None:
    class HandsOut(Actor):
        def receive(self, message: Any) -> Any:
            return self.context.self.ask(message)

    with pytest.raises(AskSelf):
        await system.spawn(HandsOut).ask("anything")


async def test_a_circle_of_asks_is_told_where_it_closes(system: ActorSystem) -> None:
    first, second, third = (system.spawn(Asks, name) for name in ("first", "second", "third"))

    with pytest.raises(AskSelf, match="orders/third asks orders/first"):
        await first.ask([second, third, first])


async def test_a_chain_of_asks_is_none(system: ActorSystem) -> None:
    first, second, third = (system.spawn(Asks) for _ in range(3))

    assert await first.ask([second, third]) == "answered"
    assert await third.ask([second, first]) == "answered"


async def test_who_asks_and_asks_a_resting_actor_lets_others_have_their_turn(system: ActorSystem) -> None:
    ref, turned = system.spawn(Recorder), 0
    await turns()

    async def others() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    for number in range(1_000):
        await ref.ask(number)
    task.cancel()

    assert turned >= 3


async def test_asks_of_a_resting_actor_keep_their_place_behind_what_was_told(system: ActorSystem) -> None:
    seen: list[Any] = []
    ref = system.spawn(lambda: Recorder(seen))
    await turns()

    ref.tell("told before")
    await ref.ask("asked")

    assert seen == ["told before", "asked"]
