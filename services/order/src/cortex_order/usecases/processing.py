"""Taking an order's payment: what becomes of an order whatever the provider does."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from cortex_core.kernel import Clock
from cortex_order.domain import (
    Complete,
    Fail,
    FailureReason,
    IllegalTransition,
    Order,
    OrderId,
    Process,
    Status,
)
from cortex_order.ports import (
    Dues,
    OrderCommands,
    Orders,
    PaymentDeclined,
    Payments,
    PaymentUnavailable,
    PaymentUnwanted,
    Settlement,
)

LONGEST_PAUSE: Final = 3600.0  # seconds: the provider may ask for more, but it is not left alone for longer


class Backoff(Protocol):
    """How long to leave an order alone that was put off `tries` times before."""

    def __call__(self, tries: int, /) -> timedelta: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an order bears with the provider: `wait` from the first time it was missed, and `silences` calls in all
    that got no answer. Who was met with silence lets others go first, by `deference`: when the provider is to be tried
    again, that should not be by an order for which it may never answer."""

    wait: timedelta
    silences: int
    deference: timedelta
    backoff: Backoff


@dataclass(frozen=True, slots=True)
class IsProcessing:
    """`Wanted`, by what the store says: whoever called the order off may have done so in another replica."""

    orders: Orders

    async def __call__(self, order_id: OrderId) -> bool:
        return (await self.orders.load(order_id)).status is Status.PROCESSING


@dataclass(frozen=True, slots=True)
class ProcessOrder:
    """Takes the payment of an order and closes it.

    No order waits in its actor's turn for the provider: the call is made here, between two commands, so that reading
    and cancelling are answered meanwhile. A provider that declines, or was silent as often as an order bears, ends the
    order. One that is not there is waited for. An order that ended without the provider's word may have been charged
    nevertheless: it stays on the list of work until the provider has confirmed that no charge stands.
    """

    commands: OrderCommands
    orders: Orders
    payments: Payments
    settlement: Settlement
    clock: Clock
    patience: Patience

    async def __call__(self, order_id: OrderId) -> None:
        dues = await self.settlement.dues(order_id)
        if dues is None:
            return  # finished before, by us or by another replica
        order = await self._taken_up(order_id)
        try:
            if order.status is Status.PROCESSING:
                order = await self._charge(order, dues)
            if not order.is_settled:
                await self._void(order)
        except PaymentUnavailable as error:
            await self._wait(order, dues, error)

    async def _taken_up(self, order_id: OrderId) -> Order:
        try:
            return await self.commands.execute(order_id, Process())
        except IllegalTransition:  # closed before, and the provider has not confirmed it yet
            return await self.orders.load(order_id)

    async def _charge(self, order: Order, dues: Dues) -> Order:
        try:
            charge_id = await self.payments.charge(order.id, order.total, dues.token)
        except PaymentDeclined:
            return await self._close(order.id, Fail(FailureReason.DECLINED))
        except PaymentUnwanted:
            return await self.orders.load(order.id)
        except PaymentUnavailable as error:
            if dues.silent + error.silent < self.patience.silences:
                raise
            return await self._close(order.id, Fail(FailureReason.PAYMENT_TIMEOUT))
        return await self._close(order.id, Complete(charge_id))

    async def _close(self, order_id: OrderId, command: Complete | Fail) -> Order:
        """The order as it stands then. It may have been closed meanwhile: called off, or by another replica."""
        try:
            return await self.commands.execute(order_id, command)
        except IllegalTransition:
            order = await self.orders.load(order_id)
            if isinstance(command, Complete) and order.status is Status.COMPLETED:
                raise  # paid before by another charge: that is for somebody to see, and nothing that a void could mend
            return order

    async def _void(self, order: Order) -> None:
        await self.payments.void(order.id)
        await self.settlement.settled(order.id)

    async def _wait(self, order: Order, dues: Dues, error: PaymentUnavailable) -> None:
        now = self.clock.now()
        since = dues.waiting_since or now
        until = now + self._pause(dues, error)
        if order.status is Status.PROCESSING:
            if now - since >= self.patience.wait:
                heard = dues.silent + error.silent == 0
                reason = FailureReason.PAYMENT_UNAVAILABLE if heard else FailureReason.PAYMENT_TIMEOUT
                await self._close(order.id, Fail(reason))
            else:
                until = min(until, since + self.patience.wait)  # the last try comes when the wait is over, not later
        await self.settlement.postpone(order.id, until=until, waiting_since=since, silent=error.silent)

    def _pause(self, dues: Dues, error: PaymentUnavailable) -> timedelta:
        asked = timedelta(seconds=min(error.retry_after or 0.0, LONGEST_PAUSE))
        deference = self.patience.deference if dues.silent + error.silent else timedelta(0)
        return max(self.patience.backoff(dues.tries), asked) + deference
