"""The roles the use cases need. Contract: tests/test_orders_contract.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cortex_core.kernel import CortexError, Kind
from cortex_order.domain import Create, Money, Order, OrderCommand, OrderEvent, OrderId, PaymentToken, Status


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
    """`after` is where the next page begins, None on the last one; `behind` how many events the list does not show yet,
    of those that were written before it was asked for."""

    rows: Sequence[OrderRow]
    after: OrderId | None
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a request to place an order recognisable when it comes again: the key its sender gave it, a digest of
    what it asks for, and until when both are remembered."""

    key: str
    fingerprint: str
    until: datetime


class KeyTaken(CortexError):
    """The key is another request's, carried out a moment ago."""

    code, kind, attempted = "idempotency.key-taken", Kind.CONFLICT, False

    def __init__(self) -> None:
        super().__init__("a request with this idempotency key was faster")


class Orders(Protocol):
    """Where orders live. What belongs to the current context's tenant is all there is."""

    async def add(
        self, order: Order, events: Sequence[OrderEvent], token: PaymentToken, once: Once | None = None
    ) -> None:
        """A new order, its payment still to be taken; durable when it returns, and with it what `once` says. Raises
        KeyTaken, and adds nothing, where the tenant has used that key already and it is still remembered."""
        ...

    async def load(self, order_id: OrderId) -> Order:
        """Raises OrderNotFound."""
        ...

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        """All of `events`, which `order` does not know yet, or none; durable when it returns, and applied to `order`.
        An order that is settled by them is off the list of work in the same moment. Raises StaleVersion (a conflict)
        when somebody was faster."""
        ...


class OrderList(Protocol):
    """The orders of the current context's tenant as they stand; it follows `Orders` after a moment."""

    async def page(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        """The newest first, at most `limit`, beginning behind `after`. Waits, within its bound, for what was written
        before."""
        ...


class OrderCommands(Protocol):
    """Who carries out what orders are asked: one command at a time an order, in the order of their coming."""

    async def create(self, order_id: OrderId, command: Create, once: Once | None = None) -> Order:
        """The new order, durable, and with it what `once` says. Raises what makes no sense in it, and KeyTaken."""
        ...

    async def execute(self, order_id: OrderId, command: OrderCommand) -> Order:
        """The order afterwards; what happened is durable when it returns. Raises OrderNotFound, and what the command's
        own decision raises."""
        ...


@dataclass(frozen=True, slots=True)
class Used:
    """What a key was used for."""

    fingerprint: str
    order_id: OrderId


class Keys(Protocol):
    """The idempotency keys of orders that were placed; `Orders.add` puts them there. Each tenant has its own."""

    async def find(self, key: str) -> Used | None:
        """None where it was not used, or so long ago that it is forgotten."""
        ...


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of an order, as it is told to who asks for all of them. `data` is JSON-able and holds no secret."""

    type: str
    version: int
    time: datetime
    trace_id: str | None
    data: Mapping[str, Any]


class History(Protocol):
    """What has happened to orders of the current context's tenant."""

    async def at(self, order_id: OrderId, version: int) -> Order:
        """The order as its first `version` events left it. Raises OrderNotFound, VersionNotFound."""
        ...

    async def facts(self, order_id: OrderId, *, after: int, limit: int) -> Sequence[Fact]:
        """At most `limit`, the oldest first, beginning behind version `after`. Raises OrderNotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Dues:
    """What the payment provider has still to be told about an order. `waiting_since`: when it was first found missing;
    `tries`: how often the order was put off; `silent`: calls for this order that got no answer."""

    token: PaymentToken
    waiting_since: datetime | None = None
    tries: int = 0
    silent: int = 0


class Settlement(Protocol):
    """Which orders' payments are not settled yet: the durable list of work. `Orders.add` puts an order on it, in the
    transaction that creates it."""

    async def dues(self, order_id: OrderId) -> Dues | None:
        """None where everything is settled."""
        ...

    async def postpone(
        self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None, silent: int = 0
    ) -> None:
        """Leaves the order alone until then. The first `waiting_since` given stays; `silent` is added to what was."""
        ...

    async def settled(self, order_id: OrderId) -> None:
        """Takes the order off the list, and deletes its payment token (when its bytes are gone from the disk is the
        database's affair). Nothing happens the second time."""
        ...


class PaymentDeclined(CortexError):
    """The provider will not take this payment, however often it is asked."""

    code, kind = "payment.declined", Kind.UNPROCESSABLE


class PaymentUnavailable(CortexError):
    """The provider is not there, or in no state to answer. The charge may have been made all the same.

    `silent`: how many calls, of those that were made on the way to this error, got no answer in time.
    """

    code, kind = "payment.unavailable", Kind.UNAVAILABLE

    def __init__(self, message: str, *, silent: int = 0, **more: Any) -> None:
        super().__init__(message, **more)
        self.silent = silent


class PaymentTimeout(PaymentUnavailable):
    """The provider did not answer in time. The charge may have been made, or may yet be."""

    code, kind = "payment.timeout", Kind.TIMEOUT

    def __init__(self, message: str, *, silent: int = 1, **more: Any) -> None:
        super().__init__(message, silent=silent, **more)


class PaymentThrottled(PaymentUnavailable):
    """The provider is there, and has had too many calls of late."""

    code, kind = "payment.throttled", Kind.RATE_LIMITED


class PaymentUnwanted(CortexError):
    """The provider was not asked (any more): the order has ended while its call waited."""

    code, kind = "payment.unwanted", Kind.CONFLICT

    def __init__(self, order_id: OrderId) -> None:
        super().__init__(f"order {order_id} has ended before its payment was asked for")


class Payments(Protocol):
    """The payment provider. Both calls are idempotent by order: twice is once."""

    async def charge(self, order_id: OrderId, total: Money, token: PaymentToken) -> str:
        """The charge's id. Raises PaymentDeclined, PaymentTimeout, PaymentUnavailable, and PaymentUnwanted where it
        finds, before an attempt, that the order has ended."""
        ...

    async def void(self, order_id: OrderId) -> None:
        """When it returns, no charge of the order stands, and none will. Raises PaymentTimeout, PaymentUnavailable."""
        ...


class Wanted(Protocol):
    """Whether an order's payment is still to be taken."""

    async def __call__(self, order_id: OrderId, /) -> bool: ...


class Wake(Protocol):
    """Told that there is new work on the list."""

    def __call__(self) -> None: ...
