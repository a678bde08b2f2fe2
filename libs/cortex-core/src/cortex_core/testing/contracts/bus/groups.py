"""What every bus must do for the members of a group."""

import asyncio
from collections.abc import Awaitable, Callable

from cortex_core.events import (
    CloudEvent,
    ConsumerPolicy,
    EventBus,
)
from cortex_core.kernel.context import TraceContext
from cortex_core.testing.contracts.bus.tools import (
    Heard,
    order_event,
)
from cortex_core.testing.waiting import eventually


class GroupContract:
    """Who handles what, and in which order."""

    async def test_a_group_handles_events_in_the_order_of_their_publication(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)

        await bus.publish([order_event(0), order_event(1, subject="ord_2")])
        await bus.publish([order_event(number) for number in range(2, 500)])

        await eventually(lambda: len(heard.events) == 500)
        assert heard.numbers == list(range(500))

    async def test_an_event_arrives_as_it_was_sent(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        trace = TraceContext.new()
        event = order_event(
            7,
            version=3,
            dataschema="https://schemas.example/order.created/1",
            traceparent=trace.traceparent,
            tracestate="vendor=1",
            tenant="acme",
        )

        await bus.publish([event])

        await eventually(lambda: heard.events)
        assert heard.events == [event]

    async def test_the_members_of_a_group_share_its_work(self, bus: EventBus, elsewhere: EventBus) -> None:
        together = asyncio.Barrier(2)
        handled: list[tuple[str, int]] = []

        def member(name: str) -> Callable[[CloudEvent], Awaitable[None]]:
            async def handle(event: CloudEvent) -> None:
                await together.wait()  # nobody gets past here alone
                handled.append((name, event.data["number"]))

            return handle

        policy = ConsumerPolicy(batch=1)
        await bus.consume("counting", ["order"], member("here"), policy)
        await bus.publish([order_event(number, subject=f"ord_{number}") for number in range(2)])
        await eventually(lambda: together.n_waiting == 1)
        await elsewhere.consume("counting", ["order"], member("there"), policy)

        await eventually(lambda: len(handled) == 2)
        assert {name for name, _ in handled} == {"here", "there"}
        assert sorted(number for _, number in handled) == [0, 1]

    async def test_each_group_handles_every_event(self, bus: EventBus) -> None:
        one, other = Heard(), Heard()
        await bus.consume("one", ["order"], one)
        await bus.consume("other", ["order"], other)

        await bus.publish([order_event(number) for number in range(3)])

        await eventually(lambda: len(one.events) == len(other.events) == 3)
        assert one.numbers == other.numbers == [0, 1, 2]

    async def test_a_new_group_begins_with_the_oldest_event(self, bus: EventBus) -> None:
        await bus.publish([order_event(number) for number in range(3)])

        heard = Heard()
        await bus.consume("late", ["order"], heard)

        await eventually(lambda: len(heard.events) == 3)
        assert heard.numbers == [0, 1, 2]

    async def test_a_group_goes_on_where_its_last_member_left(self, bus: EventBus) -> None:
        before, after = Heard(), Heard()
        member = await bus.consume("counting", ["order"], before)
        await bus.publish([order_event(0)])
        await eventually(lambda: before.events)
        await member.aclose()
        await bus.publish([order_event(1)])

        await bus.consume("counting", ["order"], after)

        await eventually(lambda: after.events)
        assert (before.numbers, after.numbers) == ([0], [1])

    async def test_only_its_topics_reach_a_group(self, bus: EventBus) -> None:
        orders, both = Heard(), Heard()
        await bus.consume("orders", ["order"], orders)
        await bus.consume("both", ["order", "file"], both)

        await bus.publish([order_event(0, type="file.stored"), order_event(1), order_event(2, type="image.processed")])

        await eventually(lambda: len(both.events) == 2)
        await eventually(lambda: orders.events)
        assert orders.numbers == [1]
        assert sorted(both.numbers) == [0, 1]

    async def test_memberships_of_one_group_may_have_topics_of_their_own(self, bus: EventBus) -> None:
        orders, files = Heard(), Heard()
        await bus.consume("service", ["order"], orders)
        await bus.consume("service", ["file"], files)

        await bus.publish([order_event(0), order_event(1, type="file.stored")])

        await eventually(lambda: orders.events and files.events)
        assert (orders.numbers, files.numbers) == ([0], [1])
