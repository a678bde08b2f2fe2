"""What the service does, one verb a class. Each is safe to call again after any interruption."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cortex_core.kernel import Clock
from cortex_order.domain import (
    CustomerId,
    FailureReason,
    Item,
    Order,
    OrderId,
    PaymentToken,
    Status,
)
from cortex_order.ports import (
    Dues,
    Orders,
    Page,
    PaymentDeclined,
    Payments,
    PaymentTimeout,
    PaymentUnavailable,
    Settlement,
    Wake,
)


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Makes an order durable, and sees to it that its payment is taken soon."""

    orders: Orders
    clock: Clock
    wake: Wake

    async def __call__(
        self, customer_id: CustomerId, items: Sequence[Item], currency: str, token: PaymentToken
    ) -> Order:
        events = Order.decide_creation(customer_id, items, currency, self.clock.now())
        order = Order.of(events)
        await self.orders.add(order, events, token)
        self.wake()
        return order


@dataclass(frozen=True, slots=True)
class GetOrder:
    """One order as it stands."""

    orders: Orders

    async def __call__(self, order_id: OrderId) -> Order:
        return await self.orders.load(order_id)


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Orders by status, the newest first, page by page."""

    orders: Orders

    async def __call__(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        return await self.orders.page(status=status, limit=limit, after=after)


class Backoff(Protocol):
    """How long to leave an order alone that was put off `tries` times before."""

    def __call__(self, tries: int, /) -> timedelta: ...


@dataclass(frozen=True, slots=True)
class ProcessOrder:
    """Takes the payment of an order and closes it.

    A provider that declines, or stays silent as often as it is asked, ends the order. One that is not there is waited
    for, `payment_wait` long from the first time it was missed. An order that failed without the provider's word may
    have been charged nevertheless: it stays on the list of work until the provider has confirmed that no charge stands.
    """

    orders: Orders
    payments: Payments
    settlement: Settlement
    clock: Clock
    payment_wait: timedelta
    backoff: Backoff

    async def __call__(self, order_id: OrderId) -> None:
        dues = await self.settlement.dues(order_id)
        if dues is None:
            return  # finished before, by us or by another replica
        order = await self.orders.load(order_id)
        if not order.status.is_final:
            await self.orders.save(order, order.decide_processing())
        try:
            await self._settle(order, dues)
        except PaymentUnavailable:
            await self._wait(order, dues)

    async def _settle(self, order: Order, dues: Dues) -> None:
        if order.status is Status.PROCESSING:
            await self._charge(order, dues)
        if not order.is_settled:
            await self._void(order)

    async def _charge(self, order: Order, dues: Dues) -> None:
        try:
            charge_id = await self.payments.charge(order.id, order.total, dues.token)
        except PaymentDeclined:
            await self._fail(order, FailureReason.DECLINED)
        except PaymentTimeout:
            await self._fail(order, FailureReason.PAYMENT_TIMEOUT)
        else:
            await self.orders.save(order, order.decide_completion(charge_id, self.clock.now()))

    async def _void(self, order: Order) -> None:
        try:
            await self.payments.void(order.id)
        except PaymentTimeout as error:  # the order is closed: all that is left to do is to ask again later
            raise PaymentUnavailable(error.message) from error
        await self.settlement.settled(order.id)

    async def _wait(self, order: Order, dues: Dues) -> None:
        now = self.clock.now()
        since = dues.waiting_since or now
        until = now + self.backoff(dues.tries)
        if order.status is Status.PROCESSING:
            if now - since >= self.payment_wait:
                await self._fail(order, FailureReason.PAYMENT_UNAVAILABLE)
            else:
                until = min(until, since + self.payment_wait)  # the last try comes when the wait is over, not later
        await self.settlement.postpone(order.id, until=until, waiting_since=since)

    async def _fail(self, order: Order, reason: FailureReason) -> None:
        await self.orders.save(order, order.decide_failure(reason, self.clock.now()))


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    place: PlaceOrder
    get: GetOrder
    listing: ListOrders
