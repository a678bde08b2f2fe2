"""What every event bus must do. A bus's test subclasses `EventBusContract` and provides `bus` and `elsewhere`.

`bus` is made with the `hooks`, the tenants `TENANTS` and `DRAIN`; `elsewhere` is a bus on the same medium as another
process would have it (the same object, where there is no such thing as another process).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import pytest

from cortex_core.events import (
    MAX_EVENT_SIZE,
    BusErrorDetails,
    BusUnavailable,
    CloudEvent,
    ConsumerPolicy,
    DeliveryDetails,
    EventBus,
    EventTooLarge,
    GapDetails,
    MalformedEvent,
    Outcome,
    UnknownEvent,
)
from cortex_core.kernel.context import TraceContext, current, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.testing.waiting import eventually

TENANTS: Final = ("public", "acme")
DRAIN: Final = 1.0
QUICK: Final = ConsumerPolicy(attempts=3, backoff=0.01, max_backoff=0.02, claim_after=0.5)


class Down(CortexError):
    code, kind = "payment.down", Kind.UNAVAILABLE


class Impossible(CortexError):
    code, kind = "order.impossible", Kind.CONFLICT


class RecordingHooks:
    """Keeps what a bus tells."""

    def __init__(self) -> None:
        self.deliveries: list[DeliveryDetails] = []
        self.gaps: list[GapDetails] = []
        self.errors: list[BusErrorDetails] = []

    def on_delivery(self, details: DeliveryDetails, /) -> None:
        self.deliveries.append(details)

    def on_gap(self, details: GapDetails, /) -> None:
        self.gaps.append(details)

    def on_error(self, details: BusErrorDetails, /) -> None:
        self.errors.append(details)

    def outcomes(self) -> list[Outcome]:
        return [details.outcome for details in self.deliveries]


class Heard:
    """A handler that keeps what it hears, and fails as often as it is told to: `fails` maps subjects to errors."""

    def __init__(self, **fails: Sequence[Exception]) -> None:
        self.events: list[CloudEvent] = []
        self._fails = {subject: list(errors) for subject, errors in fails.items()}

    async def __call__(self, event: CloudEvent) -> None:
        self.events.append(event)
        if self._fails.get(event.subject):
            raise self._fails[event.subject].pop(0)

    @property
    def numbers(self) -> list[int]:
        return [event.data["number"] for event in self.events]


def order_event(number: int = 0, *, subject: str = "ord_1", type: str = "order.created", **more: Any) -> CloudEvent:  # noqa: A002 - CloudEvents' own word
    return CloudEvent.about(type, source="/test", subject=subject, data={"number": number}, **more)


class EventBusContract:
    """See the module."""

    @pytest.fixture
    def hooks(self) -> RecordingHooks:
        return RecordingHooks()

    # --- groups ---

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
        await elsewhere.consume("counting", ["order"], member("there"), policy)
        for number in range(2):
            await bus.publish([order_event(number, subject=f"ord_{number}")])

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

    # --- retry and dead letters ---

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

        await eventually(lambda: _dead(bus, "counting", 1))
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

        await eventually(lambda: _dead(bus, "counting", 1))
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

        await eventually(lambda: _dead(bus, "ill", 1))
        await eventually(lambda: well.events)
        assert await bus.dead_letters("well") == []

    async def test_dead_letters_come_the_oldest_first_and_as_many_as_asked(self, bus: EventBus) -> None:
        heard = Heard(**{f"ord_{number}": [Impossible("no")] for number in range(3)})
        await bus.consume("counting", ["order"], heard, QUICK)

        await bus.publish([order_event(number, subject=f"ord_{number}") for number in range(3)])

        await eventually(lambda: _dead(bus, "counting", 3))
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

    # --- fan-out ---

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

    # --- surroundings ---

    @pytest.mark.parametrize("way", ["consume", "subscribe"])
    async def test_a_handler_runs_in_its_events_tenant_and_trace_and_nobody_elses(
        self, bus: EventBus, way: str
    ) -> None:
        seen = asyncio.Queue[Any]()

        async def handle(event: CloudEvent) -> None:
            seen.put_nowait((current(), event.tenant))

        with use_context(tenant="other", principal="usr_1", request_id="req_1", deadline=0.0):
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

    # --- refusals ---

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

    # --- closing ---

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


async def _dead(bus: EventBus, group: str, count: int) -> bool:
    return len(await bus.dead_letters(group)) == count
