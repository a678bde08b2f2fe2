"""What is seen of orders: spans from the request to the consumer, figures, and an alarm where one cannot be read."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

import cortex_contracts as contracts
from cortex_core.chassis import consume, on
from cortex_core.chassis.consumers import attach
from cortex_core.events import MemoryEventBus
from cortex_core.eventsourcing import StaleVersion
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.kernel.facts import Delivered
from cortex_core.observability import MetricsCollector
from cortex_core.testing import FakeClock, eventually, serving
from cortex_order.adapters.observed import ObservedOrders, OrderReporter
from cortex_order.domain import CustomerId, Item, Order, PaymentToken
from cortex_order.ports import KeyTaken, Orders
from cortex_order.settings import Settings
from cortex_order.wiring import build

TRACE = "a" * 32
BODY = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}
WAY = ["order new→pending", "order pending→processing", "order processing→completed"]


@dataclass(frozen=True)
class Hear:
    """A consumer's use case."""

    heard: list[str]

    async def __call__(self, event: Delivered[Any]) -> None:
        self.heard.append(event.type)


@dataclass(frozen=True)
class Ears:
    hear: Hear


class Service:
    """The app with an exporter that keeps its spans, and a consumer on its bus."""

    def __init__(self, settings: Settings, clock: FakeClock, payments: Any, exporter: InMemorySpanExporter) -> None:
        self.settings, self.clock, self.payments, self.exporter = settings, clock, payments, exporter
        self.heard: list[str] = []

    def build(self) -> FastAPI:
        bus = MemoryEventBus(clock=self.clock)
        app = build(self.settings, clock=self.clock, bus=bus, payments=self.payments)
        self.platform = app.state.platform
        return app

    async def listen(self) -> None:
        told = [on(each, Hear) for each in (contracts.OrderCreated, contracts.OrderStateChanged)]
        table = consume(*told, on(contracts.OrderCompleted, Hear), catalog=contracts.CATALOG)
        await attach(table, self.platform, Ears(Hear(self.heard)))

    def spans(self, *names: str) -> list[ReadableSpan]:
        self.platform.tracer.force_flush()
        return [span for span in self.exporter.get_finished_spans() if not names or span.name in names]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("cortex_core.chassis.assembly._exporter", lambda _: exporter)
    monkeypatch.setattr(exporter, "shutdown", lambda: None)  # outlives a restart
    return exporter


@pytest.fixture
def service(settings: Settings, clock: FakeClock, payments: Any, exporter: InMemorySpanExporter) -> Service:
    return Service(settings, clock, payments, exporter)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Any]:
    async with serving(service.build()) as session:
        await service.listen()
        session.headers["traceparent"] = f"00-{TRACE}-{'b' * 16}-01"
        yield session


async def place(client: Any) -> str:
    async with client.post("/orders", json=BODY) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["orderId"])


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


async def test_each_transition_is_a_span_of_the_requests_trace(client: Any, service: Service) -> None:
    order_id = await place(client)
    await eventually(lambda: len(service.spans(*WAY)) == 3)

    spans = service.spans(*WAY)
    assert [span.name for span in spans] == WAY
    assert {trace_of(span) for span in spans} == {TRACE}
    told = [dict(span.attributes or {}) for span in spans]
    assert [(each["cortex.order.from"], each["cortex.order.to"], each["cortex.order.version"]) for each in told] == [
        ("new", "pending", 1),
        ("pending", "processing", 2),
        ("processing", "completed", 3),
    ]
    assert {(each["cortex.order.id"], each["cortex.tenant"]) for each in told} == {(order_id, "public")}


async def test_a_consumers_span_is_the_child_of_the_transition_it_hears_of(client: Any, service: Service) -> None:
    await place(client)
    await eventually(lambda: len(service.heard) == 4)
    await eventually(lambda: len([span for span in service.spans() if span.name.endswith(" process")]) == 4)

    transitions = {span.context.span_id: span.name for span in service.spans(*WAY) if span.context}
    parents = [
        (span.name, transitions[span.parent.span_id])
        for span in service.spans()
        if span.name.endswith(" process") and span.parent
    ]
    assert parents == [
        ("order.created process", WAY[0]),
        ("order.state.changed process", WAY[1]),
        ("order.state.changed process", WAY[2]),
        ("order.completed process", WAY[2]),
    ]


async def test_a_transition_after_a_restart_belongs_to_the_trace_the_order_was_placed_in(
    service: Service, payments: Any, clock: FakeClock
) -> None:
    payments.errors = [RuntimeError("the process dies here")]
    async with serving(service.build()) as session:
        session.headers["traceparent"] = f"00-{TRACE}-{'b' * 16}-01"
        await place(session)
        await eventually(lambda: payments.calls == 1)
    await clock.advance(60.0)
    async with serving(service.build()):
        await eventually(lambda: len(service.spans(*WAY)) == 3)

    assert {trace_of(span) for span in service.spans(*WAY)} == {TRACE}


async def test_a_cancellation_is_a_span_of_the_trace_of_whoever_cancels(
    client: Any, service: Service, payments: Any
) -> None:
    payments.errors = [RuntimeError("the order stays in processing")]
    order_id = await place(client)
    await eventually(lambda: service.spans(WAY[1]))
    other = "c" * 32

    async with client.post(
        f"/orders/{order_id}/cancel", headers={"traceparent": f"00-{other}-{'d' * 16}-01"}
    ) as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "cancelled")

    await eventually(lambda: service.spans("order processing→cancelled"))
    (span,) = service.spans("order processing→cancelled")
    assert trace_of(span) == other


async def test_transitions_and_the_time_to_the_end_are_figures(client: Any, service: Service) -> None:
    await place(client)
    await eventually(lambda: len(service.spans(*WAY)) == 3)
    value: Callable[..., float | None] = service.platform.metrics.value

    await eventually(lambda: value("cortex_hub_order_closed_seconds_count", status="completed") == 1)
    name = "cortex_hub_order_transitions_total"
    assert value(name, before="new", after="pending") == 1
    assert value(name, before="pending", after="processing") == 1
    assert value(name, before="processing", after="completed") == 1


class OvertakenOrders:
    """Somebody was faster, always."""

    async def add(self, *_: Any) -> None:
        raise KeyTaken

    async def save(self, order: Order, _: Any) -> None:
        raise StaleVersion(order.id, order.version, order.version + 1)


async def test_what_was_not_stored_is_an_attempt_and_no_transition(service: Service, clock: FakeClock) -> None:
    service.build()
    platform = service.platform
    metrics = MetricsCollector()
    orders = ObservedOrders(
        cast("Orders", OvertakenOrders()), OrderReporter(platform.tracer, metrics, platform.logger, clock)
    )
    events = Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", clock.now())
    order = Order.of(events)

    with pytest.raises(KeyTaken):
        await orders.add(order, events, PaymentToken("tok_canary"))
    with pytest.raises(StaleVersion):
        await orders.save(order, order.decide_processing())

    assert [span.name for span in service.spans()] == [
        "order new→pending attempted",
        "order pending→processing attempted",
    ]
    assert metrics.value("cortex_hub_order_transitions_total", before="new", after="pending") is None


async def corrupt(settings: Settings, order_id: str) -> None:
    async with open_event_store(settings.database_url, migrate=False) as store, store.transaction() as connection:
        await connection.execute(text("UPDATE events SET data = '{}' WHERE stream = :id"), {"id": order_id})


async def test_a_corrupt_order_answers_with_its_code_raises_the_alarm_and_holds_up_nobody(
    client: Any, service: Service, payments: Any, settings: Settings
) -> None:
    payments.errors = [RuntimeError("the order stays in processing")]
    bad = await place(client)
    await eventually(lambda: payments.calls == 1 and service.spans(WAY[1]))
    await corrupt(settings, bad)

    for method, path in (("GET", ""), ("GET", "/events"), ("GET", "?version=1")):
        async with client.request(method, f"/orders/{bad}{path}") as answer:
            problem = await answer.json()
            assert (answer.status, problem["code"]) == (500, "event-store.corrupt-event"), path
    value: Callable[..., float | None] = service.platform.metrics.value
    assert value("cortex_hub_orders_corrupt_total") == 3

    good = await place(client)
    await eventually(lambda: [charged for charged, _, _ in payments.charges] == [good])


async def test_a_corrupt_order_on_the_list_of_work_is_put_off_again_and_again_and_the_others_are_paid(
    service: Service, payments: Any, settings: Settings, clock: FakeClock
) -> None:
    payments.errors = [RuntimeError("the order stays in processing")]
    async with serving(service.build()) as session:
        bad = await place(session)
        await eventually(lambda: payments.calls == 1)
    await corrupt(settings, bad)
    await clock.advance(60.0)

    async with serving(service.build()) as session:
        value: Callable[..., float | None] = service.platform.metrics.value
        name, code = "cortex_hub_orders_put_off_total", "event-store.corrupt-event"
        await eventually(lambda: value(name, code=code) == 1)
        good = await place(session)
        await eventually(lambda: [charged for charged, _, _ in payments.charges] == [good])

        async def put_off_thrice() -> bool:
            await clock.advance(60.0)  # each time anew: an attempt is counted before its next date is on the list
            return (value(name, code=code) or 0) >= 3

        await eventually(put_off_thrice)
        assert (value("cortex_hub_orders_corrupt_total") or 0) >= 3
