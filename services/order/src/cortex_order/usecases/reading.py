"""Looking at orders."""

from collections.abc import Sequence
from dataclasses import dataclass

from cortex_order.domain import Order, OrderId, Status
from cortex_order.ports import Fact, History, OrderList, Orders, Page


@dataclass(frozen=True, slots=True)
class GetOrder:
    """One order as it stands."""

    orders: Orders

    async def __call__(self, order_id: OrderId) -> Order:
        return await self.orders.load(order_id)


@dataclass(frozen=True, slots=True)
class GetOrderAt:
    """One order as it stood at a version, the first being 1."""

    history: History

    async def __call__(self, order_id: OrderId, version: int) -> Order:
        """Raises OrderNotFound, VersionNotFound."""
        return await self.history.at(order_id, version)


@dataclass(frozen=True, slots=True)
class TellHistory:
    """What has happened to an order, the oldest first."""

    history: History

    async def __call__(self, order_id: OrderId, *, after: int, limit: int) -> Sequence[Fact]:
        """Raises OrderNotFound."""
        return await self.history.facts(order_id, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Orders by status, the newest first, page by page."""

    orders: OrderList

    async def __call__(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        return await self.orders.page(status=status, limit=limit, after=after)
