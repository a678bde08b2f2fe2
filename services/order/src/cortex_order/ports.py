"""The roles the use cases need. Contract: tests/test_orders_contract.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cortex_core.kernel import CortexError, Kind
from cortex_order.domain import Money, Order, OrderEvent, OrderId, PaymentToken, Status


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as the list shows it."""

    order_id: OrderId
    customer_id: str
    status: Status
    total: int
    currency: str
    version: int
    created_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`after` is where the next page begins, None on the last one."""

    rows: Sequence[OrderRow]
    after: OrderId | None


class Orders(Protocol):
    """Where orders live. What belongs to the current context's tenant is all there is."""

    async def add(self, order: Order, events: Sequence[OrderEvent], token: PaymentToken) -> None:
        """A new order, its payment still to be taken; durable when it returns."""
        ...

    async def load(self, order_id: OrderId) -> Order:
        """Raises OrderNotFound."""
        ...

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        """All of `events`, which `order` does not know yet, or none; durable when it returns, and applied to `order`.
        An order that is settled by them is off the list of work in the same moment. Raises StaleVersion (a conflict)
        when somebody was faster."""
        ...

    async def page(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        """The newest first, at most `limit`, beginning behind `after`."""
        ...


@dataclass(frozen=True, slots=True)
class Dues:
    """What the payment provider has still to be told about an order. `waiting_since`: when it was first found missing;
    `tries`: how often the order was put off."""

    token: PaymentToken
    waiting_since: datetime | None = None
    tries: int = 0


class Settlement(Protocol):
    """Which orders' payments are not settled yet: the durable list of work. `Orders.add` puts an order on it, in the
    transaction that creates it."""

    async def dues(self, order_id: OrderId) -> Dues | None:
        """None where everything is settled."""
        ...

    async def postpone(self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None) -> None:
        """Leaves the order alone until then. The first `waiting_since` given stays."""
        ...

    async def settled(self, order_id: OrderId) -> None:
        """Takes the order off the list, and deletes its payment token (when its bytes are gone from the disk is the
        database's affair). Nothing happens the second time."""
        ...


class PaymentDeclined(CortexError):
    """The provider will not take this payment, however often it is asked."""

    code, kind = "payment.declined", Kind.UNPROCESSABLE


class PaymentTimeout(CortexError):
    """The provider did not answer in time. The charge may have been made, or may yet be."""

    code, kind = "payment.timeout", Kind.TIMEOUT


class PaymentUnavailable(CortexError):
    """The provider is not there, or in no state to answer. The charge may have been made all the same."""

    code, kind = "payment.unavailable", Kind.UNAVAILABLE


class Payments(Protocol):
    """The payment provider. Both calls are idempotent by order: twice is once."""

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        """The charge's id. Raises PaymentDeclined, PaymentTimeout, PaymentUnavailable."""
        ...

    async def void(self, order_id: OrderId) -> None:
        """When it returns, no charge of the order stands, and none will. Raises PaymentTimeout, PaymentUnavailable."""
        ...


class Wake(Protocol):
    """Told that there is new work on the list."""

    def __call__(self) -> None: ...
