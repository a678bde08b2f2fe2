"""The list of orders: a projection of their events, and the reading of it.

Owns `order_list`, a row an order and generation; whatever it says can be said again from the events. It is filled a
moment after an order was acknowledged, so whoever asks for the list waits for what was written before that, up to a
bound; then the list is answered as it is, and says how far behind that is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import Projector, RecordedEvent
from cortex_core.eventsourcing.sql import SqlEventStore, is_parked, live_generation
from cortex_core.kernel import current
from cortex_order.adapters import tables
from cortex_order.adapters.records import next_event
from cortex_order.domain import (
    Currency,
    CustomerId,
    FailureReason,
    Money,
    Order,
    OrderId,
    Status,
)
from cortex_order.ports import OrderRow, Page

NAME: Final = "orders"
DROP_AT_ONCE: Final = 1_000  # rows: some ten milliseconds in SQLite, where every other writer waits for them

_list: Final = tables.order_list.c
_Key = tuple[str, str]
"""Tenant and order."""

_MOVE: Final = (
    update(tables.order_list)
    .where(
        _list.generation == bindparam("whose_generation"),
        _list.tenant == bindparam("whose_tenant"),
        _list.order_id == bindparam("whose_order"),
    )
    .values({name: bindparam(name) for name in ("status", "version", "reason")})
)


class OrderListing:
    """`Projection[AsyncConnection]`: how each order stands, by the domain's own rules."""

    name = NAME
    version = 1  # raise it with every change of what `apply` makes: a new generation is built then
    handles = None  # every event here is an order's: one that nobody knows is a fault of its order

    async def begin(self, transaction: AsyncConnection, generation: int) -> None:
        await transaction.execute(delete(tables.order_list).where(_list.generation == generation))

    async def apply(self, transaction: AsyncConnection, generation: int, events: Sequence[RecordedEvent]) -> None:
        """Raises CorruptEvent where an event is none of an order's, or is not the next of its order."""
        new: dict[_Key, Order] = {}
        known = await self._known(transaction, generation, {(each.tenant, each.stream) for each in events})
        for record in events:
            key = (record.tenant, record.stream)
            order = new.get(key) or known.get(key)
            event = next_event(record, after=order.version if order else 0)
            if order is None:
                new[key] = Order.of([event])
            else:
                order.apply([event])
        await _write(transaction, generation, new, known)

    async def drop(self, transaction: AsyncConnection, generation: int) -> bool:
        doomed = select(_list.tenant, _list.order_id).where(_list.generation == generation).limit(DROP_AT_ONCE)
        mine = (_list.generation == generation, tuple_(_list.tenant, _list.order_id).in_(doomed))
        return (await transaction.execute(delete(tables.order_list).where(*mine))).rowcount == DROP_AT_ONCE

    async def _known(self, transaction: AsyncConnection, generation: int, keys: Iterable[_Key]) -> dict[_Key, Order]:
        mine = (_list.generation == generation, tuple_(_list.tenant, _list.order_id).in_(keys))
        rows = await transaction.execute(select(tables.order_list).where(*mine))
        return {(row.tenant, row.order_id): _order(row) for row in rows}


class SqlOrderList:
    """`OrderList` over the generation that is live, without the orders that were set aside: of those the list does not
    know how they stand. `patience` (seconds): how long a reader waits for what was written
    before he asked."""

    def __init__(self, store: SqlEventStore, projector: Projector[AsyncConnection], patience: float) -> None:
        self._store = store
        self._projector = projector
        self._patience = patience

    async def page(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        # While it is in trouble waiting helps nobody: the list is answered as it is.
        patience = 0.0 if self._projector.troubled else self._patience
        fresh = await self._projector.caught_up(within=patience)
        query = select(tables.order_list).where(
            _list.generation == live_generation(NAME),
            _list.tenant == current().tenant,
            ~is_parked(NAME, _list.generation, _list.tenant, _list.order_id),
        )
        if status is not None:
            query = query.where(_list.status == status.value)
        if after is not None:
            query = query.where(_list.order_id < after)
        async with self._store.reading() as connection:
            rows = (await connection.execute(query.order_by(_list.order_id.desc()).limit(limit + 1))).all()
        listed = [_row(row) for row in rows[:limit]]
        behind = 0 if fresh else (await self._projector.status()).lag
        return Page(listed, listed[-1].order_id if len(rows) > limit else None, behind)


async def _write(
    transaction: AsyncConnection, generation: int, new: dict[_Key, Order], known: dict[_Key, Order]
) -> None:
    if new:
        rows = [
            {
                "generation": generation,
                "tenant": tenant,
                "order_id": order.id,
                "customer_id": order.customer_id.value,
                "total": order.total.amount,
                "currency": order.total.currency,
                "created_at": order.created_at,
                **_standing(order),
            }
            for (tenant, _), order in new.items()
        ]
        await transaction.execute(insert(tables.order_list), rows)
    if known:
        moves = [
            {"whose_generation": generation, "whose_tenant": tenant, "whose_order": order.id, **_standing(order)}
            for (tenant, _), order in known.items()
        ]
        await transaction.execute(_MOVE, moves)


def _standing(order: Order) -> dict[str, Any]:
    reason = order.reason.value if order.reason else None
    return {"status": order.status.value, "version": order.version, "reason": reason}


def _order(row: Any) -> Order:
    """As far as the list knows it: without its items."""
    return Order(
        OrderId(row.order_id),
        CustomerId(row.customer_id),
        (),
        Money(row.total, Currency(row.currency)),
        row.created_at,
        Status(row.status),
        row.version,
        reason=None if row.reason is None else FailureReason(row.reason),
    )


def _row(row: Any) -> OrderRow:
    return OrderRow(
        OrderId(row.order_id),
        row.customer_id,
        Status(row.status),
        row.total,
        row.currency,
        row.version,
        row.created_at,
        row.reason,
    )
