"""Placing an order."""

from collections.abc import Sequence
from dataclasses import dataclass

from cortex_order.domain import Create, CustomerId, Item, Order, PaymentToken, new_order_id
from cortex_order.ports import Once, OrderCommands, Wake


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Makes an order durable, and sees to it that its payment is taken soon."""

    commands: OrderCommands
    wake: Wake

    async def __call__(
        self,
        customer_id: CustomerId,
        items: Sequence[Item],
        currency: str,
        token: PaymentToken,
        *,
        once: Once | None = None,
    ) -> Order:
        """Raises KeyTaken where `once` has a key that was used before."""
        command = Create(customer_id, tuple(items), currency, token)
        order = await self.commands.create(new_order_id(), command, once)
        self.wake()
        return order
