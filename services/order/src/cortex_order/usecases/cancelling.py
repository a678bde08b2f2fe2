"""Calling an order off."""

from dataclasses import dataclass

from cortex_order.domain import Cancel, Order, OrderId
from cortex_order.ports import OrderCommands


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """The order is cancelled when it returns, whatever the provider is doing. What may have been charged is taken back
    by `ProcessOrder`: the order stays on the list of work until the provider has confirmed it."""

    commands: OrderCommands

    async def __call__(self, order_id: OrderId, *, if_version: int | None = None) -> Order:
        return await self.commands.execute(order_id, Cancel(if_version))
