"""What is stored and what is told: nothing is lost on the way down and up, nothing secret gets in, ids stay."""

import json
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_contracts import CATALOG
from cortex_core.events import CloudEvent
from cortex_core.eventsourcing import CorruptEvent, RecordedEvent
from cortex_core.kernel import TraceContext, use_context
from cortex_order.adapters.records import Change, to_messages, to_new_event, to_order_event
from cortex_order.domain import (
    CustomerId,
    FailureReason,
    Item,
    Order,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderEvent,
    OrderFailed,
    ProcessingStarted,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ID = "ord_" + "0" * 32
CREATED = replace(Order.decide_creation(CustomerId("cus_1"), [Item("book", 2, 1250)], "EUR", NOON)[0], order_id=ID)
COMPLETED = OrderCompleted(ID, "ch_1", 1.5)
ALL: list[OrderEvent] = [
    CREATED,
    ProcessingStarted(ID),
    COMPLETED,
    OrderFailed(ID, FailureReason.PAYMENT_TIMEOUT, 2.25),
    OrderCancelled(ID, 0.5),
]


def recorded(event: OrderEvent, **changes: Any) -> RecordedEvent:
    new = to_new_event(event)
    data = json.loads(json.dumps(new.data))
    version = 1 if isinstance(event, OrderCreated) else 2
    record = RecordedEvent(1, "public", ID, version, new.id, new.type, new.schema_version, NOON, data, {})
    return replace(record, **changes)


def told(*events: OrderEvent) -> list[CloudEvent]:
    changes, order = [], Order.of(events[:1])
    changes.append(Change(events[0], None, deepcopy(order)))
    for event in events[1:]:
        before = order.status
        order.apply([event])
        changes.append(Change(event, before, deepcopy(order)))
    return [CloudEvent.from_json(message.payload) for message in to_messages(changes, NOON)]


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_what_is_stored_is_what_is_read(event: OrderEvent) -> None:
    assert to_order_event(recorded(event)) == event


@pytest.mark.parametrize(
    "record",
    [
        recorded(CREATED, type="order.exploded"),
        recorded(CREATED, schema_version=2),
        recorded(CREATED, data={}),
        recorded(CREATED, data={**recorded(CREATED).data, "customerId": 5}),
        recorded(CREATED, data={**recorded(CREATED).data, "items": [5]}),
        recorded(CREATED, data={**recorded(CREATED).data, "total": -1}),
        recorded(CREATED, data={**recorded(CREATED).data, "createdAt": "noon"}),
        recorded(COMPLETED, data={"chargeId": "ch_1", "processingTime": "long"}),
        recorded(ALL[3], data={"reason": "bored", "processingTime": 1}),
        recorded(CREATED, version=2),
        recorded(COMPLETED, version=1),
    ],
)
def test_what_nobody_can_have_written_is_corrupt_and_named(record: RecordedEvent) -> None:
    with pytest.raises(CorruptEvent, match=f"version {record.version} of {ID}"):
        to_order_event(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["\ud800", 10**400, "EUR"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_whatever_stands_there_is_corrupt_or_can_be_told(data: st.DataObject) -> None:
    record = recorded(data.draw(st.sampled_from(ALL)))
    members = sorted(record.data)
    changes = data.draw(st.dictionaries(st.sampled_from(members), JSON)) if members else {}
    if "items" in members and data.draw(st.booleans()):
        changed = data.draw(st.dictionaries(st.sampled_from(["sku", "quantity", "unitPrice"]), JSON))
        changes["items"] = [{**record.data["items"][0], **changed}]

    with suppress(CorruptEvent):
        event = to_order_event(replace(record, data={**record.data, **changes}))
        told_again = json.dumps(to_new_event(event).data, allow_nan=False, ensure_ascii=False).encode()
        assert to_order_event(replace(record, data=json.loads(told_again))) == event


def test_an_order_can_be_read_after_its_currency_is_gone() -> None:
    event = to_order_event(recorded(CREATED, data={**recorded(CREATED).data, "currency": "BGN"}))

    assert isinstance(event, OrderCreated)
    assert event.total.currency == "BGN"


def test_a_completed_order_is_told_of_step_by_step() -> None:
    events = told(CREATED, ProcessingStarted(ID), COMPLETED)

    assert [(event.type, event.version) for event in events] == [
        ("order.created", 1),
        ("order.state.changed", 2),
        ("order.state.changed", 3),
        ("order.completed", 3),
    ]
    assert [dict(event.data) for event in events] == [
        {
            "orderId": ID,
            "customerId": "cus_1",
            "total": 2500,
            "currency": "EUR",
            "createdAt": "2026-11-23T12:00:00.123456Z",
        },
        {"orderId": ID, "state": "processing", "previous": "pending"},
        {"orderId": ID, "state": "completed", "previous": "processing"},
        {"orderId": ID, "customerId": "cus_1", "total": 2500, "currency": "EUR", "processingTime": 1.5},
    ]


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        (
            [CREATED, ProcessingStarted(ID), ALL[3]],
            {"orderId": ID, "customerId": "cus_1", "reason": "payment_timeout", "processingTime": 2.25},
        ),
        ([CREATED, ALL[4]], {"orderId": ID, "customerId": "cus_1", "processingTime": 0.5}),
    ],
)
def test_other_outcomes_say_why_and_how_long_it_took(events: list[OrderEvent], outcome: dict[str, Any]) -> None:
    assert told(*events)[-1].data == outcome


def test_everything_told_is_in_the_catalogue_and_says_its_schema() -> None:
    for event in told(CREATED, ProcessingStarted(ID), COMPLETED):
        contract = CATALOG[event.type]
        assert event.dataschema == contract.dataschema()
        assert contract.of(event.data).wire() == event.data
        assert event.subject == ID


def test_the_same_fact_has_the_same_id_for_ever() -> None:
    first, again = (told(CREATED, ProcessingStarted(ID), COMPLETED) for _ in range(2))

    assert [event.id for event in first] == [event.id for event in again]
    assert len({event.id for event in first}) == len(first)


def test_what_is_told_carries_the_trace_and_the_tenant() -> None:
    trace = TraceContext.new()

    with use_context(trace=trace, tenant="acme"):
        (event,) = told(CREATED)

    assert (event.traceparent, event.tenant) == (trace.traceparent, "acme")
