"""What has happened to an order, read from its stream.

What is told is what the domain makes of a stored event, and not the row: a member that nobody here knows, or a row that
is no event of an order, never leaves the service.
"""

from collections.abc import Sequence
from typing import Final

from cortex_core.eventsourcing import RecordedEvent
from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.kernel import TraceContext
from cortex_order.adapters.records import next_event, order_of, to_new_event
from cortex_order.domain import Order, OrderId, OrderNotFound, VersionNotFound
from cortex_order.ports import Fact

_LAST: Final = 2**31 - 1  # the version that a column of the store can hold


class SqlHistory:
    """`History` over an event store."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    async def at(self, order_id: OrderId, version: int) -> Order:
        records = await self._store.read(order_id, limit=min(version, _LAST))
        if not records:
            raise OrderNotFound(order_id)
        order = order_of(records)
        if order.version < version:
            raise VersionNotFound(order_id, order.version)
        return order

    async def facts(self, order_id: OrderId, *, after: int, limit: int) -> Sequence[Fact]:
        records = await self._store.read(order_id, after=min(after, _LAST), limit=limit)
        if not records and not await self._store.read(order_id, limit=1):
            raise OrderNotFound(order_id)
        return [_fact(record, before) for before, record in enumerate(records, after)]


def _fact(record: RecordedEvent, before: int) -> Fact:
    event = to_new_event(next_event(record, after=before))
    traceparent = record.metadata.get("traceparent")
    trace = TraceContext.parse(traceparent) if isinstance(traceparent, str) else None
    return Fact(event.type, record.version, record.time, trace.trace_id if trace else None, event.data)
