"""What the order service says. Money is in minor units of `currency` (ISO 4217)."""

from datetime import datetime
from typing import ClassVar, Literal

from cortex_contracts.event import EventData

OrderStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]


class OrderCreated(EventData):
    """An order was accepted and is durable."""

    type: ClassVar[str] = "order.created"
    order_id: str
    customer_id: str
    total: int
    currency: str
    created_at: datetime


class OrderStateChanged(EventData):
    """One transition. `previous` is absent for the first."""

    type: ClassVar[str] = "order.state.changed"
    order_id: str
    state: OrderStatus
    previous: OrderStatus | None = None


class OrderCompleted(EventData):
    """Paid. `processing_time` is seconds from creation to completion."""

    type: ClassVar[str] = "order.completed"
    order_id: str
    customer_id: str
    total: int
    currency: str
    processing_time: float


class OrderFailed(EventData):
    """Will not be paid. `reason` is `declined`, `payment_timeout` or `payment_unavailable`."""

    type: ClassVar[str] = "order.failed"
    order_id: str
    customer_id: str
    reason: str
    processing_time: float


class OrderCancelled(EventData):
    """Called off. What may have been charged is voided at the provider."""

    type: ClassVar[str] = "order.cancelled"
    order_id: str
    customer_id: str
    processing_time: float
