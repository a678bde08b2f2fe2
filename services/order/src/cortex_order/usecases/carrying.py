"""Carrying out a command: decide on what is known, make it durable, and decide again when somebody was faster."""

from dataclasses import dataclass
from typing import Final

from cortex_core.eventsourcing import StaleVersion
from cortex_core.kernel import Clock
from cortex_order.domain import Create, IllegalTransition, Order, OrderCommand, OrderEvent, OrderId, StaleOrder
from cortex_order.ports import Once, Orders

ROUNDS: Final = 5
"""An order has three transitions at most: whoever is overtaken more often has met something else than progress."""


@dataclass(frozen=True, slots=True)
class CarryOut:
    """What an order's actor does with a command. Whoever calls it remembers the order in between, or does not.

    Memory may be behind: another replica can have written. What it leads to appending is checked by the store; what
    would append nothing (a refusal, or a fact that is there already) is decided again on what the store says.
    """

    orders: Orders
    clock: Clock

    async def __call__(self, known: Order | None, order_id: OrderId, command: OrderCommand) -> Order:
        """The order afterwards. Raises OrderNotFound, StaleVersion when overtaken ROUNDS times in a row, and what the
        decision raises."""
        if known is not None and (order := await self._from_memory(known, command)) is not None:
            return order
        return await self._from_store(order_id, command)

    async def create(self, order_id: OrderId, command: Create, once: Once | None = None) -> Order:
        """The new order. Raises what its decision raises, KeyTaken, and StaleVersion where there is such an order."""
        events = Order.decide_creation(
            command.customer_id, command.items, command.currency, self.clock.now(), order_id=order_id
        )
        order = Order.of(events)
        await self.orders.add(order, events, command.token, once)
        return order

    async def _from_memory(self, order: Order, command: OrderCommand) -> Order | None:
        """None: look at the store."""
        try:
            events = order.decide(command, self.clock.now())
        except (IllegalTransition, StaleOrder):
            return None
        return order if events and await self._saved(order, events) else None

    async def _from_store(self, order_id: OrderId, command: OrderCommand) -> Order:
        for _ in range(ROUNDS - 1):
            order = await self.orders.load(order_id)
            if await self._saved(order, order.decide(command, self.clock.now())):
                return order
        order = await self.orders.load(order_id)
        await self.orders.save(order, order.decide(command, self.clock.now()))
        return order

    async def _saved(self, order: Order, events: list[OrderEvent]) -> bool:
        """False: somebody was faster."""
        try:
            await self.orders.save(order, events)
        except StaleVersion:
            return False
        return True
