"""What every bus must do with the marker of a publication."""

import pytest

from cortex_core.events import MAX_EVENT_SIZE, CloudEvent, EventBus, EventTooLarge, MalformedEvent, Marker, MarkerMoved
from cortex_core.testing.contracts.bus.tools import Heard, order_event
from cortex_core.testing.waiting import eventually


class MarkerContract:
    """Written with its events, or not at all."""

    async def test_a_marker_that_was_never_published_is_unknown(self, bus: EventBus) -> None:
        assert await bus.marker("outbox") is None

    async def test_a_marker_is_there_with_its_events(self, bus: EventBus, elsewhere: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)

        await bus.publish([order_event(number) for number in range(300)], marker=Marker("outbox", 7))

        assert await elsewhere.marker("outbox") == 7
        await eventually(lambda: heard.numbers == list(range(300)))

    async def test_a_marker_may_come_by_itself(self, bus: EventBus) -> None:
        await bus.publish([], marker=Marker("outbox", 0))

        assert await bus.marker("outbox") == 0

    async def test_a_marker_never_falls(self, bus: EventBus) -> None:
        await bus.publish([order_event()], marker=Marker("outbox", 10))

        await bus.publish([order_event()], marker=Marker("outbox", 9))

        assert await bus.marker("outbox") == 10

    async def test_a_publication_follows_the_marker_it_says(self, bus: EventBus, elsewhere: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)

        await bus.publish([order_event(1)], marker=Marker("outbox", 5, after=0))
        await elsewhere.publish([order_event(2)], marker=Marker("outbox", 9, after=5))

        assert await bus.marker("outbox") == 9
        await eventually(lambda: heard.numbers == [1, 2])

    @pytest.mark.parametrize("events", [0, 1, 300])
    @pytest.mark.parametrize(("stands", "after"), [(0, 4), (5, 4), (3, 4), (4, 0)])
    async def test_where_the_marker_stands_elsewhere_nothing_is_published(
        self, bus: EventBus, stands: int, after: int, events: int
    ) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        if stands:
            await bus.publish([], marker=Marker("outbox", stands))

        with pytest.raises(MarkerMoved) as caught:
            await bus.publish([order_event() for _ in range(events)], marker=Marker("outbox", 9, after=after))

        assert (caught.value.value, caught.value.code) == (stands, "bus.marker-moved")
        assert not caught.value.retryable
        assert await bus.marker("outbox") == (stands or None)
        await bus.publish([order_event(7)])
        await eventually(lambda: heard.numbers == [7])

    async def test_a_marker_that_says_what_it_follows_may_fall(self, bus: EventBus) -> None:
        """A publisher whose own store was put back to an older state counts from there."""
        await bus.publish([], marker=Marker("outbox", 90))

        await bus.publish([order_event()], marker=Marker("outbox", 9, after=90))

        assert await bus.marker("outbox") == 9

    async def test_markers_of_several_names_do_not_touch(self, bus: EventBus) -> None:
        await bus.publish([order_event()], marker=Marker("order", 1))
        await bus.publish([order_event()], marker=Marker("storage", 2**53 - 1))

        assert (await bus.marker("order"), await bus.marker("storage")) == (1, 2**53 - 1)

    async def test_a_publication_that_is_refused_leaves_no_marker(self, bus: EventBus) -> None:
        large = CloudEvent.about("order.created", source="/t", subject="ord_1", data={"x": "y" * MAX_EVENT_SIZE})

        with pytest.raises(EventTooLarge):
            await bus.publish([order_event(), large], marker=Marker("outbox", 1))

        assert await bus.marker("outbox") is None

    async def test_a_name_that_could_be_part_of_another_key_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(MalformedEvent, match="marker"):
            await bus.publish([order_event()], marker=Marker("a:b", 1))
        with pytest.raises(MalformedEvent, match="marker"):
            await bus.marker("a:b")
