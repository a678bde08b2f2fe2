"""The list of work: orders whose payment is not settled, in the table that outlives every process.

Owns which replica has an order in hand. A claim is a date: until then the others leave the order alone, and afterwards
it is anybody's again, so that what a killed replica had in hand is taken up without anybody noticing its death. Refuses
to be a lock: two who work on one order cost work and no money (the charge is idempotent, the expected version decides).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.sql import SqlEventStore, Timestamp
from cortex_core.kernel import Clock, current
from cortex_order.adapters import tables
from cortex_order.adapters.processing import IDLE, Work
from cortex_order.domain import OrderId, PaymentToken
from cortex_order.ports import Dues

UNNOTICED: Final = timedelta(seconds=IDLE)
"""A replica looks at the list at least that often: an order that was due for longer was in nobody's sight."""

_rows: Final = tables.settlements.c


class SqlSettlement:
    """`Settlement`, and the whole list of it (`processing.WorkList`) for the loop of the replica named `holder`. A
    replica that is started again has the name that it had, and no two that run have the same."""

    def __init__(self, store: SqlEventStore, clock: Clock, holder: str) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder

    async def dues(self, order_id: OrderId) -> Dues | None:
        query = select(_rows.payment_token, _rows.waiting_since, _rows.tries, _rows.silent)
        async with self._store.reading() as connection:
            row = (await connection.execute(query.where(*_mine(order_id)))).one_or_none()
        return None if row is None else Dues(PaymentToken(row.payment_token), row.waiting_since, row.tries, row.silent)

    async def postpone(
        self, order_id: OrderId, *, until: datetime, waiting_since: datetime | None = None, silent: int = 0
    ) -> None:
        changes = {
            "due_at": until,
            "tries": _rows.tries + 1,
            "waiting_since": func.coalesce(_rows.waiting_since, literal(waiting_since, Timestamp())),
            "silent": _rows.silent + silent,
            "claimed_by": None,
        }
        async with self._store.transaction() as connection:
            await connection.execute(update(tables.settlements).where(*_mine(order_id)).values(changes))

    async def settled(self, order_id: OrderId) -> None:
        async with self._store.transaction() as connection:
            await forget(connection, order_id)

    async def next_due(self) -> datetime | None:
        async with self._store.reading() as connection:
            due_at: datetime | None = (await connection.execute(select(func.min(_rows.due_at)))).scalar_one()
        return due_at

    async def claim(self, limit: int, *, until: datetime) -> Sequence[Work]:
        """Two replicas that claim at once are given different orders: neither waits for rows the other is taking. An
        order that was due for long, and nobody was there to take it up, has not waited for the provider meanwhile."""
        now = self._clock.now()
        due = (
            select(_rows.tenant, _rows.order_id, _rows.tries, _rows.traceparent, _rows.due_at, _rows.waiting_since)
            .where(_rows.due_at <= now)
            .order_by(_rows.due_at, _rows.order_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._store.transaction() as connection:
            rows = (await connection.execute(due)).all()
            if rows:
                ours = update(tables.settlements).where(_one_of([(row.tenant, row.order_id) for row in rows]))
                await connection.execute(ours.values(due_at=until, claimed_by=self._holder))
            for row in rows:
                if row.waiting_since is not None and now - row.due_at > UNNOTICED:
                    since = row.waiting_since + (now - row.due_at)
                    row_itself = _one_of([(row.tenant, row.order_id)])
                    await connection.execute(update(tables.settlements).where(row_itself).values(waiting_since=since))
        works = [Work(OrderId(row.order_id), row.tenant, row.tries, row.traceparent) for row in rows]
        return sorted(works, key=lambda work: work.order_id)

    async def renew(self, works: Sequence[Work], *, until: datetime) -> None:
        chosen = _one_of([(work.tenant, work.order_id) for work in works])
        still_ours = update(tables.settlements).where(chosen, _rows.claimed_by == self._holder)
        async with self._store.transaction() as connection:
            await connection.execute(still_ours.values(due_at=until))

    async def release(self) -> None:
        """At the start too: what we had in hand when we were killed. What was put off stays so: others may have tried
        it meanwhile, and the provider may have asked for the pause."""
        now = self._clock.now()
        not_later = case((_rows.due_at > now, literal(now, Timestamp())), else_=_rows.due_at)
        ours = update(tables.settlements).where(_rows.claimed_by == self._holder)
        async with self._store.transaction() as connection:
            await connection.execute(ours.values(due_at=not_later, claimed_by=None))


async def enlist(connection: AsyncConnection, order_id: OrderId, token: PaymentToken, due_at: datetime) -> None:
    """Due then, to be worked on in the current trace."""
    context = current()
    row = {
        "tenant": context.tenant,
        "order_id": order_id,
        "payment_token": token.secret,
        "due_at": due_at,
        "traceparent": context.trace and context.trace.traceparent,
    }
    await connection.execute(insert(tables.settlements).values(row))


async def forget(connection: AsyncConnection, order_id: OrderId) -> None:
    """The file's bytes are zeroed with it; SQLite's log keeps the old page until a checkpoint, and new ones over it."""
    await connection.execute(delete(tables.settlements).where(*_mine(order_id)))


def _one_of(keys: Sequence[tuple[str, str]]) -> Any:
    return tuple_(_rows.tenant, _rows.order_id).in_(keys)


def _mine(order_id: OrderId) -> tuple[Any, Any]:
    return _rows.tenant == current().tenant, _rows.order_id == order_id
