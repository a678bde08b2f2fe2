"""The ledger in the service's database: the event's mark in the inbox and what it counts for, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, bindparam, delete, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_analytics.adapters import tables
from cortex_analytics.domain import Cell, Created, Durations, Ended, Fact, Figures, Outcome, cell_of, microseconds
from cortex_analytics.ports import LedgerUnavailable
from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql import SqlEventStore
from cortex_core.kernel import use_context

CONSUMER: Final = "analytics"

_open: Final = tables.open_orders.c
_totals: Final = tables.totals.c
_durations: Final = tables.durations.c

# Upserts are text: the one form that SQLite and PostgreSQL write alike.
_SEE: Final = (
    text(
        "INSERT INTO open_orders (tenant, order_id, created, ended) VALUES (:tenant, :order_id, :created, :ended)"
        " ON CONFLICT (tenant, order_id) DO UPDATE SET"
        " created = open_orders.created OR excluded.created, ended = open_orders.ended OR excluded.ended"
        " RETURNING created, ended"
    )
    .bindparams(bindparam("created", type_=Boolean), bindparam("ended", type_=Boolean))
    .columns(created=Boolean, ended=Boolean)
)
_ADD: Final = text(
    "INSERT INTO totals (tenant, created, completed, failed, cancelled, microseconds)"
    " VALUES (:tenant, :created, :completed, :failed, :cancelled, :microseconds)"
    " ON CONFLICT (tenant) DO UPDATE SET created = totals.created + excluded.created,"
    " completed = totals.completed + excluded.completed, failed = totals.failed + excluded.failed,"
    " cancelled = totals.cancelled + excluded.cancelled, microseconds = totals.microseconds + excluded.microseconds"
)
_MEASURE: Final = text(
    "INSERT INTO durations (tenant, segment, bucket, orders) VALUES (:tenant, :segment, :bucket, 1)"
    " ON CONFLICT (tenant, segment, bucket) DO UPDATE SET orders = durations.orders + 1"
)


class SqlLedger:
    """`Ledger` over an event store's database."""

    def __init__(self, store: SqlEventStore) -> None:
        self._store = store

    async def record(self, tenant: str, event_id: str, fact: Fact) -> bool:
        additions, cell = _counts_for(fact)
        with _translated(), use_context(tenant=tenant):  # the inbox's rows are the context's tenant's
            async with self._store.transaction() as connection:
                if not await self._store.inbox.once(connection, CONSUMER, event_id):
                    return False
                await _see(connection, tenant, fact)
                await connection.execute(_ADD, {"tenant": tenant, **additions})
                if cell is not None:
                    await connection.execute(_MEASURE, {"tenant": tenant, **cell._asdict()})
        return True

    async def figures(self, tenant: str) -> Figures:
        return await self._read(_open.tenant == tenant, _totals.tenant == tenant, _durations.tenant == tenant)

    async def totals(self) -> Figures:
        return await self._read(true(), true(), true())

    async def _read(
        self, open_orders: ColumnElement[bool], totals: ColumnElement[bool], durations: ColumnElement[bool]
    ) -> Figures:
        active = select(func.count()).where(_open.created, ~_open.ended, open_orders)
        sums = select(
            *(
                func.coalesce(func.sum(column), 0)
                for column in (
                    _totals.created,
                    _totals.completed,
                    _totals.failed,
                    _totals.cancelled,
                    _totals.microseconds,
                )
            )
        ).where(totals)
        cells = (
            select(_durations.segment, _durations.bucket, func.sum(_durations.orders))
            .where(durations)
            .group_by(_durations.segment, _durations.bucket)
        )
        with _translated():
            async with self._store.reading() as connection:
                now_active = int((await connection.execute(active)).scalar_one())
                created, completed, failed, cancelled, total = map(int, (await connection.execute(sums)).one())
                rows = (await connection.execute(cells)).all()
        measured = {Cell(segment, bucket): int(orders) for segment, bucket, orders in rows}
        return Figures(now_active, created, completed, failed, cancelled, Durations(measured, total))


async def _see(connection: AsyncConnection, tenant: str, fact: Fact) -> None:
    """One half of an order is known, and if both are, it is done with."""
    seen = {"created": isinstance(fact, Created), "ended": isinstance(fact, Ended)}
    row = (await connection.execute(_SEE, {"tenant": tenant, "order_id": fact.order_id, **seen})).one()
    if row.created and row.ended:
        await connection.execute(
            delete(tables.open_orders).where(_open.tenant == tenant, _open.order_id == fact.order_id)
        )


def _counts_for(fact: Fact) -> tuple[dict[str, Any], Cell | None]:
    """What is added to the totals, and where the duration is counted, if there is one. Raises ImplausibleDuration."""
    names = ("created", *(outcome.value for outcome in Outcome), "microseconds")
    additions = dict.fromkeys(names, 0)
    if isinstance(fact, Created):
        return {**additions, "created": 1}, None
    additions[fact.outcome.value] = 1
    if fact.seconds is None:
        return additions, None
    cell = cell_of(fact.seconds)
    return {**additions, "microseconds": microseconds(fact.seconds)}, cell


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except EventStoreUnavailable as error:
        raise LedgerUnavailable(error.message, retryable=error.retryable) from error
