"""How every bus treats its handlers and publishers, from the first event to the last."""

import asyncio
from typing import Any

import pytest

from cortex_core.events import (
    MAX_EVENT_SIZE,
    BusUnavailable,
    CloudEvent,
    EventBus,
    EventTooLarge,
    MalformedEvent,
)
from cortex_core.kernel.context import TraceContext, current, use_context
from cortex_core.kernel.principal import Principal
from cortex_core.testing.contracts.bus.tools import (
    DRAIN,
    QUICK,
    Down,
    Heard,
    RecordingHooks,
    order_event,
)
from cortex_core.testing.waiting import eventually


class MannersContract:
    """Surroundings, refusals, closing."""

    @pytest.mark.parametrize("way", ["consume", "subscribe"])
    async def test_a_handler_runs_in_its_events_tenant_and_trace_and_nobody_elses(
        self, bus: EventBus, way: str
    ) -> None:
        seen = asyncio.Queue[Any]()

        async def handle(event: CloudEvent) -> None:
            seen.put_nowait((current(), event.tenant))

        with use_context(tenant="other", principal=Principal("usr_1"), request_id="req_1", deadline=0.0):
            if way == "consume":
                await bus.consume("counting", ["order"], handle)
            else:
                await bus.subscribe(["order"], handle)
        trace = TraceContext.new()
        with use_context(tenant="acme", trace=trace):
            await bus.publish([order_event()])

        context, tenant = await asyncio.wait_for(seen.get(), 5)
        assert tenant == context.tenant == "acme"
        assert context.trace == trace
        assert (context.principal, context.request_id, context.deadline) == (None, None, None)

    async def test_an_event_that_is_too_large_is_refused_and_the_batch_with_it(self, bus: EventBus) -> None:
        heard = Heard()
        await bus.consume("counting", ["order"], heard)
        large = CloudEvent.about("order.created", source="/t", subject="ord_1", data={"x": "y" * MAX_EVENT_SIZE})

        with pytest.raises(EventTooLarge) as raised:
            await bus.publish([order_event(0), large])

        await bus.publish([order_event(1)])
        await eventually(lambda: heard.events)
        assert heard.numbers == [1]
        assert (raised.value.code, raised.value.retryable) == ("event.too-large", False)

    @pytest.mark.parametrize("tenant", ["acme:events", "", "a b", "x" * 129, "ü"])
    async def test_a_tenant_that_could_name_another_tenants_keys_is_refused(self, bus: EventBus, tenant: str) -> None:
        with pytest.raises(MalformedEvent, match="tenant"):
            await bus.publish([order_event(tenant=tenant)])

    async def test_an_event_that_no_wire_could_carry_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(MalformedEvent, match="half a character"):
            await bus.publish([order_event(subject="\ud800")])

    @pytest.mark.parametrize("way", ["consume", "subscribe"])
    async def test_closing_waits_for_the_handler_at_work_and_takes_no_more(self, bus: EventBus, way: str) -> None:
        at_work, may_end = asyncio.Event(), asyncio.Event()
        ended: list[int] = []

        async def handle(event: CloudEvent) -> None:
            at_work.set()
            await may_end.wait()
            ended.append(event.data["number"])

        if way == "consume":
            subscription = await bus.consume("counting", ["order"], handle)
        else:
            subscription = await bus.subscribe(["order"], handle)
        await bus.publish([order_event(number, subject=f"ord_{number}") for number in range(5)])
        await at_work.wait()

        closing = asyncio.create_task(subscription.aclose())
        done, _ = await asyncio.wait({closing}, timeout=0.05)
        assert not done
        may_end.set()
        await closing

        assert ended == [0]

    @pytest.mark.parametrize("drain", [DRAIN])
    async def test_a_handler_that_does_not_end_is_cancelled_in_time_and_its_event_comes_again(
        self, bus: EventBus, elsewhere: EventBus
    ) -> None:
        begun = asyncio.Event()

        async def hangs(_: CloudEvent) -> None:
            begun.set()
            await asyncio.Event().wait()

        member = await bus.consume("counting", ["order"], hangs, QUICK)
        await bus.publish([order_event(0), order_event(1)])
        await begun.wait()

        await asyncio.wait_for(member.aclose(), DRAIN + 2)
        heard = Heard()
        await elsewhere.consume("counting", ["order"], heard, QUICK)

        await eventually(lambda: heard.numbers == [0, 1])

    async def test_what_a_member_had_not_begun_when_it_closed_another_handles_as_a_first_attempt(
        self, bus: EventBus, elsewhere: EventBus, hooks: RecordingHooks
    ) -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()
        first: list[int] = []

        async def slow(event: CloudEvent) -> None:
            first.append(event.data["number"])
            begun.set()
            await may_end.wait()

        member = await bus.consume("counting", ["order"], slow, QUICK)
        await bus.publish([order_event(number) for number in range(4)])
        await begun.wait()
        may_end.set()
        await member.aclose()
        hooks.deliveries.clear()

        rest = Heard(ord_1=[Down("so that the number of the attempt is told")])
        await elsewhere.consume("counting", ["order"], rest, QUICK)

        await eventually(lambda: len(rest.events) == 4)
        assert first == [0]
        assert rest.numbers == [1, 1, 2, 3]
        assert [details.attempt for details in hooks.deliveries[:2]] == [1, 2]

    @pytest.mark.parametrize("way", ["consume", "subscribe"])
    async def test_a_handler_may_close_its_own_subscription(self, bus: EventBus, way: str) -> None:
        heard: list[int] = []

        async def once(event: CloudEvent) -> None:
            heard.append(event.data["number"])
            await subscription.aclose()

        if way == "consume":
            subscription = await bus.consume("counting", ["order"], once)
        else:
            subscription = await bus.subscribe(["order"], once)
        await bus.publish([order_event(number, subject=f"ord_{number}") for number in range(3)])

        await eventually(lambda: bus.subscriber_count() == 0)
        assert heard == [0]

    async def test_the_handlers_at_work_are_counted(self, bus: EventBus) -> None:
        member = await bus.consume("counting", ["order"], Heard())
        subscriber = await bus.subscribe(["order"], Heard())
        assert bus.subscriber_count() == 2

        await member.aclose()
        await subscriber.aclose()

        assert bus.subscriber_count() == 0

    async def test_a_bus_that_works_passes_its_check(self, bus: EventBus) -> None:
        await bus.check()

    async def test_a_closed_bus_ends_its_handlers_and_refuses_the_rest_for_good(self, bus: EventBus) -> None:
        await bus.consume("counting", ["order"], Heard())
        await bus.subscribe(["order"], Heard())

        await bus.aclose()

        assert bus.subscriber_count() == 0
        for refused in (bus.publish([order_event()]), bus.check(), bus.subscribe(["order"], Heard())):
            with pytest.raises(BusUnavailable) as raised:
                await refused
            assert not raised.value.retryable

    async def test_closing_twice_is_closing_once(self, bus: EventBus) -> None:
        subscription = await bus.subscribe(["order"], Heard())

        await subscription.aclose()
        await subscription.aclose()
        await bus.aclose()
        await bus.aclose()
