"""What every bus must do for its subscribers."""

import pytest

from cortex_core.events import (
    DeliveryDetails,
    EventBus,
    Outcome,
)
from cortex_core.testing.contracts.bus.tools import Down, Heard, RecordingHooks, order_event
from cortex_core.testing.waiting import eventually


class FanOutContract:
    """Everybody hears everything, and nobody hurts anybody."""

    async def test_every_subscriber_hears_every_event_in_order(self, bus: EventBus, elsewhere: EventBus) -> None:
        handlers = [Heard(), Heard(), Heard()]
        for place, handler in zip((bus, bus, elsewhere), handlers, strict=True):
            await place.subscribe(["order"], handler)

        await bus.publish([order_event(number) for number in range(300)])

        await eventually(lambda: all(len(handler.events) == 300 for handler in handlers))
        assert all(handler.numbers == list(range(300)) for handler in handlers)

    async def test_a_subscriber_hears_what_is_published_from_now_on(self, bus: EventBus) -> None:
        await bus.publish([order_event(0)])
        heard = Heard()
        await bus.subscribe(["order"], heard)

        await bus.publish([order_event(1)])

        await eventually(lambda: heard.events)
        assert heard.numbers == [1]

    async def test_only_its_topics_reach_a_subscriber(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.subscribe(["file", "image"], heard)

        await bus.publish([order_event(0), order_event(1, type="file.stored"), order_event(2, type="image.processed")])

        await eventually(lambda: len(heard.events) == 2)
        assert sorted(heard.numbers) == [1, 2]

    async def test_an_error_in_one_subscriber_is_told_once_and_hurts_nobody(
        self, bus: EventBus, hooks: RecordingHooks
    ) -> None:
        failing, well = Heard(ord_1=[RuntimeError("mine"), Down("mine, too")]), Heard()
        await bus.subscribe(["order"], failing)
        await bus.subscribe(["order"], well)

        await bus.publish([order_event(number) for number in range(3)])

        await eventually(lambda: len(failing.events) == len(well.events) == 3)
        await eventually(lambda: len(hooks.deliveries) == 6)
        failures = [details for details in hooks.deliveries if details.outcome is Outcome.FAILED]
        assert [str(details.error) for details in failures] == ["mine", "mine, too"]
        assert (failing.numbers, well.numbers) == ([0, 1, 2], [0, 1, 2])

    async def test_hooks_that_raise_neither_recur_nor_stop_anything(
        self, bus: EventBus, hooks: RecordingHooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(details: DeliveryDetails) -> None:
            hooks.deliveries.append(details)
            raise RuntimeError("the hook itself")

        monkeypatch.setattr(hooks, "on_delivery", broken)
        failing = Heard(ord_1=[RuntimeError("a subscriber")])
        await bus.subscribe(["order"], failing)

        await bus.publish([order_event(0), order_event(1)])

        await eventually(lambda: len(hooks.deliveries) == 2)
        assert failing.numbers == [0, 1]
        assert [record.message for record in caplog.records] == ["a bus hook failed"] * 2
