"""Orders in the event store, and beside it, in the same transaction, the list of work.

Promises that event, message to others and place on the list of work become true together or not at all. What orders
there are is a projection: `listing.py`. Snapshots are not needed: an order has a handful of events.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.kernel import Clock
from cortex_order.adapters.idempotency import take
from cortex_order.adapters.records import Change, order_of, to_messages, to_new_event
from cortex_order.adapters.settlements import enlist, forget
from cortex_order.domain import Order, OrderEvent, OrderId, OrderNotFound, PaymentToken
from cortex_order.ports import Once


class SqlOrders:
    """`Orders` over an event store: a stream an order, named by its id."""

    def __init__(self, store: SqlEventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self, order: Order, events: Sequence[OrderEvent], token: PaymentToken, once: Once | None = None
    ) -> None:
        async def also(connection: AsyncConnection) -> None:
            if once is not None:
                await take(connection, once, order.id, self._clock.now())
            await enlist(connection, order.id, token, self._clock.now())

        await self._append(order.id, 0, [Change(event, None, order) for event in events], also)

    async def load(self, order_id: OrderId) -> Order:
        records = await self._store.read(order_id)
        if not records:
            raise OrderNotFound(order_id)
        return order_of(records)

    async def save(self, order: Order, events: Sequence[OrderEvent]) -> None:
        if not events:
            return
        changes = _changes(order, events)
        after = changes[-1].after

        async def also(connection: AsyncConnection) -> None:
            await forget(connection, order.id)

        await self._append(order.id, order.version, changes, also if after.is_settled else None)
        order.apply(events)

    async def _append(self, order_id: OrderId, version: int, changes: Sequence[Change], also: Any) -> None:
        await self._store.append(
            order_id,
            [to_new_event(change.event) for change in changes],
            expected_version=version,
            messages=to_messages(changes, self._clock.now()),
            also=also,
        )


def _changes(order: Order, events: Sequence[OrderEvent]) -> list[Change]:
    """The order before and after each event; `order` itself stays as it is until all is durable."""
    changes = []
    for event in events:
        after = replace(order)
        after.apply([event])
        changes.append(Change(event, order.status, after))
        order = after
    return changes
