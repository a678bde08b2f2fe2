"""Damaged events: whatever was done to an order's rows, it answers with one code and an alarm, and no other suffers."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from cortex_core.testing import serving
from cortex_order.settings import Settings
from cortex_order.wiring import build

CREATED: dict[str, Any] = {
    "customerId": "cus_1",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "total": 2500,
    "currency": "EUR",
    "createdAt": "2026-11-23T12:00:00.000000Z",
}
COMPLETED = {"chargeId": "ch_1", "processingTime": 1.5}
OTHER_TYPE = "UPDATE events SET type = 'order.cancelled', data = '{\"processingTime\":1}' WHERE version = 1"
TWICE = (
    "UPDATE events SET type = 'order.created', data = (SELECT data FROM events AS first WHERE first.version = 1"
    " AND first.stream = events.stream) WHERE version = 2"
)


def created(**changes: Any) -> str:
    return _set(1, json.dumps({**CREATED, **changes}))


def item(**changes: Any) -> str:
    return created(items=[{**CREATED["items"][0], **changes}])


def completed(**changes: str) -> str:
    """`changes` as JSON: not everything that is read is said by Python."""
    members = {**{name: json.dumps(value) for name, value in COMPLETED.items()}, **changes}
    return _set(3, "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}")


def _set(version: int, data: str) -> str:
    return f"UPDATE events SET data = '{data}' WHERE version = {version}"


DAMAGE = {
    "the first is of another type": OTHER_TYPE,
    "created twice": TWICE,
    "the first is gone": "DELETE FROM events WHERE version = 1",
    "the middle is gone": "DELETE FROM events WHERE version = 2",
    "a type that nobody knows": "UPDATE events SET type = 'order.exploded' WHERE version = 3",
    "a total of true": created(total=True),
    "a total of 2500.0": created(total=2500.0),
    "a currency of 5": created(currency=5),
    "a currency that UTF-8 cannot say": created(currency="\ud800"),
    "a date that UTC has not": created(createdAt="0001-01-01T00:00:00+23:00"),
    "half a book": item(quantity=2.5),
    "a quantity of true": item(quantity=True),
    "a price of 1250.0": item(unitPrice=1250.0),
    "a time that is no number": completed(processingTime="NaN"),
    "a time without end": completed(processingTime="1e999"),
    "a time beyond all floats": completed(processingTime="9" * 400),
    "a time of true": completed(processingTime="true"),
    "a time in words": completed(processingTime='"1.5"'),
    "a time before the order": completed(processingTime="-1"),
    "a charge of 5": completed(chargeId="5"),
    "a charge that UTF-8 cannot say": completed(chargeId=r'"\ud800"'),
}


async def spoil(settings: Settings, statement: str, order_id: str) -> None:
    """In a thread: whoever is writing needs the loop to come to an end."""

    def execute() -> None:
        with closing(sqlite3.connect(make_url(settings.database_url).database or "")) as database:
            assert database.execute(f"{statement} AND stream = ?", (order_id,)).rowcount == 1
            database.commit()

    await asyncio.to_thread(execute)


@pytest.fixture
def app(settings: Settings, clock: Any, bus: Any, payments: Any) -> Any:
    return build(settings, clock=clock, bus=bus, payments=payments)


@pytest.fixture
async def client(app: Any) -> AsyncIterator[Any]:
    async with serving(app) as session:
        yield session


@pytest.fixture
async def order_id(api: Any) -> str:
    """Of a completed order, and so of three events."""
    order_id = str(await api.placed())
    await api.settled(order_id)
    return order_id


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
async def test_a_damaged_order_answers_with_its_code_and_raises_the_alarm(
    api: Any, app: Any, settings: Settings, order_id: str, damage: str
) -> None:
    other = await api.placed()
    await api.settled(other)
    await spoil(settings, damage, order_id)

    answers = [(await api.get(f"/orders/{order_id}{path}")).code for path in ("", "/events", "?version=3")]
    answers.append((await api.post(f"/orders/{order_id}/cancel")).code)

    assert answers == [(500, "event-store.corrupt-event")] * 4
    assert app.state.platform.metrics.value("cortex_hub_orders_corrupt_total") == 4
    for path in ("", "/events", "?version=3"):
        assert (await api.get(f"/orders/{other}{path}")).status == 200


async def test_a_version_behind_a_hole_is_not_said_to_be_still_to_come(
    api: Any, settings: Settings, order_id: str
) -> None:
    await spoil(settings, "DELETE FROM events WHERE version = 2", order_id)

    assert (await api.get(f"/orders/{order_id}?version=4")).code == (500, "event-store.corrupt-event")
    assert (await api.get(f"/orders/{order_id}/events?after=1")).code == (500, "event-store.corrupt-event")
    assert (await api.get(f"/orders/{order_id}?version=1")).status == 200


@pytest.mark.parametrize("trace", ["5", "true", "null", "[]", '{"a":1}'])
async def test_a_trace_that_is_no_text_is_none(api: Any, settings: Settings, order_id: str, trace: str) -> None:
    await spoil(settings, f"UPDATE events SET metadata = '{{\"traceparent\":{trace}}}' WHERE version = 1", order_id)

    reply = await api.get(f"/orders/{order_id}/events")

    assert (reply.status, reply.body["events"][0]["traceId"]) == (200, None)
