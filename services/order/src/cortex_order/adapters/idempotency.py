"""Idempotency keys in a table: written with the order they belong to, found again, and forgotten in time."""

from datetime import datetime
from typing import Final

from sqlalchemy import TextClause, bindparam, delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.sql import Key, SqlEventStore, Timestamp
from cortex_core.kernel import Clock, current
from cortex_core.observability import Logger
from cortex_order.adapters import tables
from cortex_order.domain import OrderId
from cortex_order.ports import KeyTaken, Once, Used

PORTION: Final = 500  # rows deleted in one transaction: writers take turns, and orders are waiting for theirs
INTERVAL: Final = 60.0  # seconds between two looks at what is to be forgotten

_keys: Final = tables.idempotency_keys.c


def _statement(free: str) -> TextClause:
    """Takes a key that is `free`. A forgotten one that is not deleted yet is as good as unused. RETURNING says whether
    a row was written, for a count of rows is the driver's word."""
    columns = [bindparam("tenant", type_=Key()), bindparam("key", type_=Key()), bindparam("fingerprint", type_=Key())]
    moments = [bindparam("expires_at", type_=Timestamp()), bindparam("now", type_=Timestamp())]
    return text(
        "INSERT INTO idempotency_keys (tenant, key, fingerprint, order_id, expires_at)"
        f" SELECT :tenant, :key, :fingerprint, :order_id, :expires_at WHERE {free}"
        " ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,"
        " expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= :now"
        " RETURNING key"
    ).bindparams(*columns, bindparam("order_id", type_=Key()), *moments)


# SQLite's writers take turns. PostgreSQL's would wait for one another's keys with those of their own group in hand,
# some in a circle, and a whole group would fail of it: so who cannot have the key at once does without.
_TAKE: Final = {
    "sqlite": _statement("true"),
    "postgresql": _statement(
        "pg_try_advisory_xact_lock(hashtextextended('idempotency|' || :tenant || '|' || :key, 0))"
    ),
}


async def take(connection: AsyncConnection, once: Once, order_id: OrderId, now: datetime) -> None:
    """Within the transaction that makes the order durable. Raises KeyTaken, also where somebody is about to use it."""
    row = {
        "tenant": current().tenant,
        "key": once.key,
        "fingerprint": once.fingerprint,
        "order_id": order_id,
        "expires_at": once.until,
        "now": now,
    }
    if (await connection.execute(_TAKE[connection.dialect.name], row)).one_or_none() is None:
        raise KeyTaken


class SqlKeys:
    """`Keys` over the table, and what keeps the table small."""

    def __init__(self, store: SqlEventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, key: str) -> Used | None:
        query = select(_keys.fingerprint, _keys.order_id).where(
            _keys.tenant == current().tenant, _keys.key == key, _keys.expires_at > self._clock.now()
        )
        async with self._store.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Used(row.fingerprint, OrderId(row.order_id))

    async def prune(self, limit: int = PORTION) -> int:
        """Deletes at most `limit` keys, of whatever tenant, that are forgotten. How many it were."""
        forgotten = select(_keys.tenant, _keys.key).where(_keys.expires_at <= self._clock.now()).limit(limit)
        forgotten = forgotten.with_for_update(skip_locked=True)  # PostgreSQL: whoever takes one over has it by now
        doomed = delete(tables.idempotency_keys).where(tuple_(_keys.tenant, _keys.key).in_(forgotten))
        async with self._store.transaction() as connection:
            return int((await connection.execute(doomed)).rowcount)


class Pruning:
    """`run()` keeps the table small until it is cancelled, a portion at a time. Replicas may do so side by side."""

    def __init__(self, keys: SqlKeys, clock: Clock, logger: Logger) -> None:
        self._keys = keys
        self._clock = clock
        self._logger = logger

    async def run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL)
            await self._prune()

    async def _prune(self) -> None:
        try:
            while await self._keys.prune() == PORTION:
                pass
        except Exception as error:  # whatever ails the database: what is left over now is deleted the next time
            self._logger.exception("cannot forget old idempotency keys", error=type(error).__name__)
