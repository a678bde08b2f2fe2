"""What every bus must do with an event that its handler could not take."""

import pytest

from cortex_core.events import (
    ConsumerPolicy,
    EventBus,
    Outcome,
    UnknownEvent,
)
from cortex_core.testing.contracts.bus.tools import QUICK, Down, Heard, Impossible, RecordingHooks, dead, order_event
from cortex_core.testing.waiting import eventually


class RetryContract:
    """Another delivery, or a dead letter."""

    async def test_a_retryable_error_brings_the_event_again_until_it_is_handled(
        self, bus: EventBus, hooks: RecordingHooks
    ) -> None:
        heard = Heard(ord_1=[Down("once"), Down("twice")])
        await bus.consume("counting", ["order"], heard, QUICK)

        await bus.publish([order_event(5)])

        await eventually(lambda: len(hooks.deliveries) == 3)
        assert heard.numbers == [5, 5, 5]
        assert hooks.outcomes() == [Outcome.RETRIED, Outcome.RETRIED, Outcome.DELIVERED]
        assert [details.attempt for details in hooks.deliveries] == [1, 2, 3]
        assert await bus.dead_letters("counting") == []

    async def test_after_the_last_attempt_an_event_is_a_dead_letter(self, bus: EventBus) -> None:
        heard = Heard(ord_1=[Down("and down") for _ in range(9)])
        await bus.consume("counting", ["order"], heard, QUICK)
        event = order_event()

        await bus.publish([event])

        await eventually(lambda: dead(bus, "counting", 1))
        (letter,) = await bus.dead_letters("counting")
        assert heard.events == [event] * QUICK.attempts
        assert (letter.event, letter.raw, letter.group) == (event, event.to_json(), "counting")
        assert (letter.code, letter.attempts) == ("payment.down", QUICK.attempts)
        assert "and down" in letter.reason
        assert letter.time.tzinfo is not None

    @pytest.mark.parametrize(
        ("error", "code", "reason"),
        [
            (Impossible("it cannot be"), "order.impossible", "it cannot be"),
            (UnknownEvent("never heard of it"), "event.unknown", "never heard of it"),
            (KeyError("missing"), "internal", "KeyError: 'missing'"),
            (TimeoutError("not one of ours"), "internal", "TimeoutError: not one of ours"),
        ],
    )
    async def test_any_other_error_makes_a_dead_letter_at_once(
        self, bus: EventBus, hooks: RecordingHooks, error: Exception, code: str, reason: str
    ) -> None:
        heard = Heard(ord_1=[error])
        await bus.consume("counting", ["order"], heard, QUICK)

        await bus.publish([order_event()])

        await eventually(lambda: dead(bus, "counting", 1))
        (letter,) = await bus.dead_letters("counting")
        assert (letter.code, letter.reason, letter.attempts) == (code, reason, 1)
        assert hooks.outcomes() == [Outcome.DEAD]
        assert hooks.deliveries[0].error is error

    async def test_a_dead_letter_does_not_stop_what_follows(self, bus: EventBus) -> None:
        heard = Heard(ord_1=[Impossible("no")])
        await bus.consume("counting", ["order"], heard, QUICK)

        await bus.publish([order_event(0), order_event(1)])

        await eventually(lambda: heard.numbers == [0, 1])

    async def test_a_dead_letter_belongs_to_its_group_alone(self, bus: EventBus) -> None:
        well, ill = Heard(), Heard(ord_1=[Impossible("no")])
        await bus.consume("well", ["order"], well, QUICK)
        await bus.consume("ill", ["order"], ill, QUICK)

        await bus.publish([order_event()])

        await eventually(lambda: dead(bus, "ill", 1))
        await eventually(lambda: well.events)
        assert await bus.dead_letters("well") == []

    async def test_dead_letters_come_the_oldest_first_and_as_many_as_asked(self, bus: EventBus) -> None:
        heard = Heard(**{f"ord_{number}": [Impossible("no")] for number in range(3)})
        await bus.consume("counting", ["order"], heard, QUICK)

        await bus.publish([order_event(number, subject=f"ord_{number}") for number in range(3)])

        await eventually(lambda: dead(bus, "counting", 3))
        letters = await bus.dead_letters("counting", limit=2)
        assert [letter.event.subject for letter in letters if letter.event] == ["ord_0", "ord_1"]

    async def test_a_subjects_events_stay_in_order_while_one_waits_for_its_retry_and_others_go_on(
        self, bus: EventBus
    ) -> None:
        heard = Heard(ord_1=[Down("first"), Down("second")])
        await bus.consume("counting", ["order"], heard, ConsumerPolicy(backoff=0.1, attempts=3))

        await bus.publish([order_event(0), order_event(1), order_event(2, subject="ord_2"), order_event(3)])

        await eventually(lambda: len(heard.events) == 6)
        assert [event.data["number"] for event in heard.events if event.subject == "ord_1"] == [0, 0, 0, 1, 3]
        assert heard.numbers.index(2) < heard.numbers.index(1)
