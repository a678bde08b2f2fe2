"""Leases as rows. Whether one is over is decided in the statement that takes it, by one clock for all its holders: the
server's in PostgreSQL; in SQLite this machine's, which all its processes share."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import TextualSelect

from cortex_core.eventsourcing.leases import Lease, LeaseLost, check_terms
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
"""The store's own: what begins and commits, and takes its turn."""

_leases: Final = schema.leases.c

# Both databases write these alike, the time aside.
_LOOK: Final = """
SELECT epoch, expires_at FROM leases
WHERE tenant = :tenant AND name = :name AND holder <> :holder AND expires_at > {now}
"""
_ACQUIRE: Final = """
INSERT INTO leases (tenant, name, epoch, holder, expires_at) VALUES (:tenant, :name, 1, :holder, {end})
ON CONFLICT (tenant, name) DO UPDATE
SET epoch = leases.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.holder IS NULL OR leases.holder = excluded.holder OR leases.expires_at <= {now}
RETURNING epoch, expires_at
"""
_RENEW: Final = """
UPDATE leases SET expires_at = {end}
WHERE tenant = :tenant AND name = :name AND holder = :holder AND epoch = :epoch AND expires_at > {now}
RETURNING epoch, expires_at
"""
_RELEASE: Final = text(
    "UPDATE leases SET holder = NULL, expires_at = NULL"
    " WHERE tenant = :tenant AND name = :name AND holder = :holder AND epoch = :epoch"
)


async def epoch_of(connection: AsyncConnection, name: str) -> int:
    """The newest epoch of the context's tenant's lease; 0 where it was never held. No take-over comes between this and
    the end of the transaction: in PostgreSQL the row is locked against one, in SQLite writers take turns."""
    query = select(_leases.epoch).where(_leases.tenant == current().tenant, _leases.name == name)
    epoch = (await connection.execute(query.with_for_update(read=True))).scalar_one_or_none()
    return 0 if epoch is None else int(epoch)


class SqlLeases:
    """`Leases` over the table."""

    def __init__(self, engines: Engines, clock: Clock, transaction: Transaction) -> None:
        self._engines = engines
        self._transaction = transaction
        self._clock = clock
        self._by_server = engines.writer.dialect.name == "postgresql"
        self._look, self._acquire, self._renew = (self._timed(each) for each in (_LOOK, _ACQUIRE, _RENEW))

    async def acquire(self, name: str, holder: str, ttl: float) -> Lease | None:
        check_terms(name, holder, ttl)
        about = {"name": name, "holder": holder}
        with translated():
            async with self._engines.reader.begin() as connection:  # followers ask often, and keep no writer waiting
                held = (await connection.execute(self._look, self._parameters(about, ttl, ends=False))).first()
        return await self._take(self._acquire, about, ttl) if held is None else None

    async def renew(self, lease: Lease) -> Lease:
        about = {"name": lease.name, "holder": lease.holder, "epoch": lease.epoch}
        renewed = await self._take(self._renew, about, lease.ttl)
        if renewed is None:
            raise LeaseLost(lease)
        return renewed

    async def release(self, lease: Lease) -> None:
        about = {"tenant": current().tenant, "name": lease.name, "holder": lease.holder, "epoch": lease.epoch}
        async with self._transaction() as connection:
            await connection.execute(_RELEASE, about)

    async def _take(self, statement: TextualSelect, about: dict[str, Any], ttl: float) -> Lease | None:
        async with self._transaction() as connection:
            row = (await connection.execute(statement, self._parameters(about, ttl, ends=True))).first()
        return None if row is None else Lease(about["name"], about["holder"], row.epoch, row.expires_at, ttl)

    def _timed(self, statement: str) -> TextualSelect:
        if self._by_server:
            timed = text(
                statement.format(now="clock_timestamp()", end="clock_timestamp() + make_interval(secs => :ttl)")
            )
        else:
            timed = text(statement.format(now=":now", end=":end"))
            moments = [each for each in ("now", "end") if f":{each}" in str(timed)]
            timed = timed.bindparams(*(bindparam(each, type_=schema.Timestamp()) for each in moments))
        return timed.columns(epoch=schema.Whole, expires_at=schema.Timestamp())

    def _parameters(self, about: dict[str, Any], ttl: float, *, ends: bool) -> dict[str, Any]:
        """Asked within the transaction: in a queue of writers time passes."""
        if self._by_server:
            times: dict[str, Any] = {"ttl": ttl} if ends else {}
        else:
            now = self._clock.now()
            times = {"now": now, "end": now + timedelta(seconds=ttl)} if ends else {"now": now}
        return {"tenant": current().tenant, **about, **times}
