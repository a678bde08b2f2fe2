"""What can have happened to an order. These are facts: they are stored for good, so they hold no secret."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cortex_order.domain.lines import CustomerId, Item
from cortex_order.domain.money import Money


class FailureReason(StrEnum):
    """Why an order will not be paid."""

    DECLINED = "declined"  # the provider said no
    PAYMENT_TIMEOUT = "payment_timeout"  # the provider did not answer, as often as was asked
    PAYMENT_UNAVAILABLE = "payment_unavailable"  # the provider was not there, for as long as an order waits


@dataclass(frozen=True, slots=True)
class OrderCreated:
    order_id: str
    customer_id: CustomerId
    items: tuple[Item, ...]
    total: Money
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProcessingStarted:
    order_id: str


@dataclass(frozen=True, slots=True)
class OrderCompleted:
    """Paid. `processing_time` is seconds since creation, here and below."""

    order_id: str
    charge_id: str
    processing_time: float


@dataclass(frozen=True, slots=True)
class OrderFailed:
    order_id: str
    reason: FailureReason
    processing_time: float


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    order_id: str
    processing_time: float


OrderEvent = OrderCreated | ProcessingStarted | OrderCompleted | OrderFailed | OrderCancelled
