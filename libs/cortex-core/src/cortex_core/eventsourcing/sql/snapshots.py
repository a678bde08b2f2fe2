"""Snapshots as a table."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.names import is_storable
from cortex_core.eventsourcing.snapshots import OnSnapshotTrouble, Snapshot, SnapshotTrouble, seal, tell, unseal
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.kernel.clock import Clock, parse_rfc3339
from cortex_core.kernel.context import current

_rows: Final = schema.snapshots.c

# The one upsert both databases write alike.
_SAVE: Final = text(
    "INSERT INTO snapshots (tenant, stream, version, schema_version, time, state)"
    " VALUES (:tenant, :stream, :version, :schema_version, :time, :state)"
    " ON CONFLICT (tenant, stream, version) DO UPDATE"
    " SET schema_version = excluded.schema_version, time = excluded.time, state = excluded.state"
).bindparams(bindparam("time", type_=schema.Timestamp()))


class SqlSnapshots:
    """`Snapshots` over the table."""

    def __init__(
        self, engines: Engines, clock: Clock, transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]]
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._transaction = transaction

    async def save(self, stream: str, version: int, state: Mapping[str, Any], *, schema_version: int) -> None:
        tenant = current().tenant
        row = {
            "tenant": tenant,
            "stream": stream,
            "version": version,
            "schema_version": schema_version,
            "time": self._clock.now(),
            "state": seal(tenant, stream, version, schema_version, state),
        }
        async with self._transaction() as connection:
            await connection.execute(_SAVE, row)

    async def newest(
        self,
        stream: str,
        *,
        schema_version: int,
        at_or_below: int | None = None,
        on_trouble: OnSnapshotTrouble | None = None,
    ) -> Snapshot | None:
        while is_storable(stream):
            found = await self._row(stream, schema_version, at_or_below)
            if found is None:
                return None
            version, moment, sealed = found
            try:
                state = unseal(current().tenant, stream, version, schema_version, sealed)
                at = moment if isinstance(moment, datetime) else parse_rfc3339(moment.decode())
                return Snapshot(stream, version, schema_version, at, state)
            except ValueError as error:
                tell(on_trouble, SnapshotTrouble("read", current().tenant, stream, version, error))
                at_or_below = version - 1
        return None

    async def prune(self, stream: str, *, keep: int) -> int:
        if not is_storable(stream):
            return 0
        mine = (_rows.tenant == current().tenant, _rows.stream == stream)
        kept = select(_rows.version).where(*mine).order_by(_rows.version.desc()).limit(keep)
        async with self._transaction() as connection:
            gone = await connection.execute(delete(schema.snapshots).where(*mine, _rows.version.not_in(kept)))
            return gone.rowcount

    async def _row(self, stream: str, schema_version: int, at_or_below: int | None) -> Any:
        query = select(_rows.version, schema.raw(_rows.time), schema.raw(_rows.state)).where(
            _rows.tenant == current().tenant, _rows.stream == stream, _rows.schema_version == schema_version
        )
        if at_or_below is not None:
            query = query.where(_rows.version <= at_or_below)
        with translated():
            async with self._engines.single.connect() as connection:
                return (await connection.execute(query.order_by(_rows.version.desc()).limit(1))).one_or_none()
