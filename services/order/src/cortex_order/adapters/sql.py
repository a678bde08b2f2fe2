"""Orders in the event store, and beside it, in the same transaction, the tables made for looking things up.

Promises that event, message to others, list entry and place on the list of work become true together or not at all.
Next: snapshots are not needed (an order has at most three events); the projection's rebuild is.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.sql import SqlEventStore, Timestamp
from cortex_core.kernel import Clock, current
from cortex_order.adapters import tables
from cortex_order.adapters.processing import Work
from cortex_order.adapters.records import Change, to_messages, to_new_event, to_order_event
from cortex_order.domain import Order, OrderEvent, OrderId, OrderNotFound, PaymentToken, Status
from cortex_order.ports import Dues, OrderRow, Page

_orders: Final = tables.orders.c
_settlements: Final = tables.settlements.c


class SqlOrders:
    """`Orders` over an event store: a stream an order, named by its id."""

    def __init__(self, store: SqlEventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, order: Order, events: Sequence[OrderEvent], token: PaymentToken) -> None:
        async def also(connection: AsyncConnection) -> None:
            await connection.execute(insert(tables.orders).values(_entry(order)))
            await connection.execute(insert(tables.settlements).values(self._settlement(order, token)))

        await self._append(order.id, 0, [Change(event, None, order) for event in events], also)

    async def load(self, order_id: OrderId) -> Order:
        records = await self._store.read(order_id)
        if not records:
            raise OrderNotFound(order_id)
        return Order.of([to_order_event(record) for record in records])

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        if not events:
            return
        changes = _changes(order, events)
        after = changes[-1].after

        async def also(connection: AsyncConnection) -> None:
            mine = (_orders.tenant == current().tenant, _orders.order_id == order.id)
            await connection.execute(update(tables.orders).where(*mine).values(_entry(after)))
            if after.is_settled:
                await _forget(connection, order.id)

        await self._append(order.id, order.version, changes, also)
        order.apply(events)

    async def page(self, *, status: Status | None, limit: int, after: OrderId | None) -> Page:
        query = select(tables.orders).where(_orders.tenant == current().tenant)
        if status is not None:
            query = query.where(_orders.status == status.value)
        if after is not None:
            query = query.where(_orders.order_id < after)
        async with self._store.reading() as connection:
            rows = (await connection.execute(query.order_by(_orders.order_id.desc()).limit(limit + 1))).all()
        listed = [_row(row) for row in rows[:limit]]
        return Page(listed, listed[-1].order_id if len(rows) > limit else None)

    async def _append(self, order_id: OrderId, version: int, changes: Sequence[Change], also: Any) -> None:
        await self._store.append(
            order_id,
            [to_new_event(change.event) for change in changes],
            expected_version=version,
            messages=to_messages(changes, self._clock.now()),
            also=also,
        )

    def _settlement(self, order: Order, token: PaymentToken) -> dict[str, Any]:
        context = current()
        return {
            "tenant": context.tenant,
            "order_id": order.id,
            "payment_token": token.secret,
            "due_at": self._clock.now(),
            "traceparent": context.trace and context.trace.traceparent,
        }


class SqlSettlement:
    """`Settlement`, and the whole list of it for the loop that works it off."""

    def __init__(self, store: SqlEventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def dues(self, order_id: OrderId) -> Dues | None:
        query = select(_settlements.payment_token, _settlements.waiting_since, _settlements.tries)
        async with self._store.reading() as connection:
            row = (await connection.execute(query.where(*_mine(order_id)))).one_or_none()
        return None if row is None else Dues(PaymentToken(row.payment_token), row.waiting_since, row.tries)

    async def postpone(self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None) -> None:
        changes = {
            "due_at": until,
            "tries": _settlements.tries + 1,
            "waiting_since": func.coalesce(_settlements.waiting_since, literal(waiting_since, Timestamp())),
        }
        async with self._store.transaction() as connection:
            await connection.execute(update(tables.settlements).where(*_mine(order_id)).values(changes))

    async def settled(self, order_id: OrderId) -> None:
        async with self._store.transaction() as connection:
            await _forget(connection, order_id)

    async def next(self, limit: int) -> Sequence[Work]:
        """See `processing.WorkList`."""
        query = select(
            _settlements.order_id,
            _settlements.tenant,
            _settlements.due_at,
            _settlements.tries,
            _settlements.traceparent,
        )
        async with self._store.reading() as connection:
            rows = await connection.execute(query.order_by(_settlements.due_at, _settlements.order_id).limit(limit))
            return [Work(OrderId(row.order_id), row.tenant, row.due_at, row.tries, row.traceparent) for row in rows]

    async def resume(self) -> None:
        """Called at the start: what was put off is due now, and a wait begins anew. While we were away nobody asked the
        provider, so that time must not count against the order."""
        put_off = update(tables.settlements).where(_settlements.tries > 0)
        async with self._store.transaction() as connection:
            await connection.execute(put_off.values(due_at=self._clock.now(), tries=0, waiting_since=None))


def _changes(order: Order, events: Sequence[OrderEvent]) -> list[Change]:
    """The order before and after each event; `order` itself stays as it is until all is durable."""
    changes = []
    for event in events:
        after = replace(order)
        after.apply([event])
        changes.append(Change(event, order.status, after))
        order = after
    return changes


def _entry(order: Order) -> dict[str, Any]:
    return {
        "tenant": current().tenant,
        "order_id": order.id,
        "customer_id": order.customer_id.value,
        "status": order.status.value,
        "total": order.total.amount,
        "currency": order.total.currency,
        "version": order.version,
        "created_at": order.created_at,
        "reason": order.reason.value if order.reason else None,
    }


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


def _mine(order_id: OrderId) -> tuple[Any, Any]:
    return _settlements.tenant == current().tenant, _settlements.order_id == order_id


async def _forget(connection: AsyncConnection, order_id: OrderId) -> None:
    """The file's bytes are zeroed with it; SQLite's log keeps the old page until a checkpoint, and new ones over it."""
    await connection.execute(delete(tables.settlements).where(*_mine(order_id)))
