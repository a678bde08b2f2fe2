"""Domain events as they are stored, and as they are told to others; and an order, as its stored events make it.

Two vocabularies on purpose: what is stored may say more (items, the charge) and changes with this service alone; what
is told is `cortex_contracts`, and changes with everybody. Neither holds the payment token.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, assert_never

import cortex_contracts as contracts
from cortex_core.events import CloudEvent
from cortex_core.eventsourcing import CorruptEvent, Message, NewEvent, RecordedEvent
from cortex_core.kernel import CortexError
from cortex_core.kernel.clock import parse_rfc3339, rfc3339
from cortex_order.domain import (
    Currency,
    CustomerId,
    FailureReason,
    Item,
    Money,
    Order,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderEvent,
    OrderFailed,
    ProcessingStarted,
    Status,
)

SOURCE: Final = "/cortex/order"
FIRST: Final = "order.created"
"""The type of an order's first event, and of no other."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)


def to_new_event(event: OrderEvent) -> NewEvent:
    match event:
        case OrderCreated():
            items = [{"sku": item.sku, "quantity": item.quantity, "unitPrice": item.unit_price} for item in event.items]
            data: dict[str, Any] = {
                "customerId": event.customer_id.value,
                "items": items,
                "total": event.total.amount,
                "currency": event.total.currency,
                "createdAt": rfc3339(event.created_at),
            }
            return NewEvent(FIRST, data)
        case ProcessingStarted():
            return NewEvent("order.processing.started", {})
        case OrderCompleted():
            return NewEvent("order.completed", {"chargeId": event.charge_id, "processingTime": event.processing_time})
        case OrderFailed():
            return NewEvent("order.failed", {"reason": event.reason.value, "processingTime": event.processing_time})
        case OrderCancelled():
            return NewEvent("order.cancelled", {"processingTime": event.processing_time})
        case _:
            assert_never(event)


def to_order_event(record: RecordedEvent) -> OrderEvent:
    """The inverse of `to_new_event`. Raises CorruptEvent for what nobody here can have written there."""
    read = _READERS.get((record.type, record.schema_version))
    if read is None:
        raise _corrupt(record, f"{record.type} in schema version {record.schema_version} is unknown")
    if (record.type == FIRST) is not (record.version == 1):
        raise _corrupt(record, f"{record.type} has no place there")
    try:
        return read(record.stream, record.data)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, CortexError) as error:
        raise _corrupt(record, f"{type(error).__name__}: {error}") from error


def next_event(record: RecordedEvent, *, after: int) -> OrderEvent:
    """As `to_order_event`, of the record that follows version `after`. Raises CorruptEvent where one is missing."""
    if record.version != after + 1:
        raise _corrupt(record, f"it follows version {after}")
    return to_order_event(record)


def order_of(records: Iterable[RecordedEvent]) -> Order:
    """The order of which these are the first records, one at least. Raises CorruptEvent where they tell of none."""
    return Order.of([next_event(record, after=index) for index, record in enumerate(records)])


def _corrupt(record: RecordedEvent, reason: str) -> CorruptEvent:
    return CorruptEvent(record.tenant, record.stream, record.version, reason)


def _created(order_id: str, data: Mapping[str, Any]) -> OrderEvent:
    return OrderCreated(
        order_id,
        CustomerId(data["customerId"]),
        tuple(Item(each["sku"], _whole(each["quantity"]), _whole(each["unitPrice"])) for each in data["items"]),
        Money(_whole(data["total"]), _currency(data["currency"])),
        parse_rfc3339(data["createdAt"]),
    )


def _whole(value: object) -> int:
    """JSON's `true` is no number here, and `2.0` no count."""
    if type(value) is not int:
        raise ValueError(f"{value!r:.64} is no whole number")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r:.64} is no duration")
    return float(value)


def _currency(value: str) -> Currency:
    """Of whatever time: see Money."""
    if not _CURRENCY.fullmatch(value):
        raise ValueError(f"{value!r:.64} is no currency's code")
    return Currency(value)


def _text(value: object) -> str:
    """What UTF-8 can say, so that it can be told again."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.64} is no text")
    value.encode()
    return value


_READERS: Final[dict[tuple[str, int], Callable[[str, Mapping[str, Any]], OrderEvent]]] = {
    (FIRST, 1): _created,
    ("order.processing.started", 1): lambda order_id, _: ProcessingStarted(order_id),
    ("order.completed", 1): lambda order_id, data: OrderCompleted(
        order_id, _text(data["chargeId"]), _seconds(data["processingTime"])
    ),
    ("order.failed", 1): lambda order_id, data: OrderFailed(
        order_id, FailureReason(data["reason"]), _seconds(data["processingTime"])
    ),
    ("order.cancelled", 1): lambda order_id, data: OrderCancelled(order_id, _seconds(data["processingTime"])),
}


@dataclass(frozen=True, slots=True)
class Change:
    """An event, and the order before (None: there was none) and after it."""

    event: OrderEvent
    before: Status | None
    after: Order


def to_messages(changes: Sequence[Change], now: datetime) -> list[Message]:
    """What others are told: of the first event `order.created`; of each later one `order.state.changed`, and where the
    order has ended, its outcome. Ids are made of order, version and type: the same fact has the same id for ever."""
    return [_message(data, change.after, now) for change in changes for data in _told(change)]


def _told(change: Change) -> Iterator[contracts.EventData]:
    order, event = change.after, change.event
    if change.before is not None:
        yield contracts.OrderStateChanged(order_id=order.id, state=order.status.value, previous=change.before.value)
    who: dict[str, Any] = {"order_id": order.id, "customer_id": order.customer_id.value}
    price: dict[str, Any] = {"total": order.total.amount, "currency": order.total.currency}
    match event:
        case OrderCreated(created_at=created_at):
            yield contracts.OrderCreated(**who, **price, created_at=created_at)
        case OrderCompleted(processing_time=seconds):
            yield contracts.OrderCompleted(**who, **price, processing_time=seconds)
        case OrderFailed(reason=reason, processing_time=seconds):
            yield contracts.OrderFailed(**who, reason=reason.value, processing_time=seconds)
        case OrderCancelled(processing_time=seconds):
            yield contracts.OrderCancelled(**who, processing_time=seconds)
        case ProcessingStarted():
            return
        case _:
            assert_never(event)


def _message(data: contracts.EventData, order: Order, now: datetime) -> Message:
    event = CloudEvent.about(
        data.type,
        source=SOURCE,
        subject=order.id,
        data=data.wire(),
        id=f"{order.id}.{order.version}.{data.type}",
        time=now,
        version=order.version,
        dataschema=data.dataschema(),
    )
    return Message(event.id, event.topic, event.subject, event.to_json())
