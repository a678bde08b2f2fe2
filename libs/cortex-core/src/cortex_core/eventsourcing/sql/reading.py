"""Reading: rows become events again, or name what is corrupt."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import CorruptEvent
from cortex_core.eventsourcing.names import is_storable
from cortex_core.eventsourcing.records import RecordedEvent, decode
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.eventsourcing.sql.positions import Horizon, before_first_gap, look
from cortex_core.eventsourcing.upcasting import Upcasters
from cortex_core.kernel.clock import parse_rfc3339
from cortex_core.kernel.context import current

_events: Final = schema.events.c
_MOST: Final = 2**31 - 1  # versions, and rows of one reading
_LAST_POSITION: Final = 2**63 - 1

_RECORDED: Final = select(
    _events.position,
    _events.tenant,
    _events.stream,
    _events.version,
    _events.id,
    _events.type,
    _events.schema_version,
    schema.raw(_events.time).label("time"),
    schema.raw(_events.data).label("data"),
    schema.raw(_events.metadata).label("metadata"),
)
_HEAD: Final = select(func.coalesce(func.max(_events.position), 0))


class EventReader:
    """The reading half of `SqlEventStore`: see `EventStore.read` and `read_all`."""

    def __init__(self, engines: Engines, upcasters: Upcasters) -> None:
        self._engine = engines.single
        self._upcasters = upcasters
        self._horizon = Horizon() if engines.single.dialect.name == "postgresql" else None

    async def read(self, stream: str, *, after: int, limit: int | None) -> list[RecordedEvent]:
        if not is_storable(stream):
            return []
        mine = (_events.tenant == current().tenant, _events.stream == stream)
        query = _RECORDED.where(*mine, _events.version > _within(after, _MOST)).order_by(_events.version)
        if limit is not None:
            query = query.limit(_within(limit, _MOST))
        with translated():
            async with self._engine.connect() as connection:
                rows = await _rows(connection, query)
        return [self._record(row) for row in rows]

    async def read_all(self, *, after: int, limit: int) -> list[RecordedEvent]:
        after = _within(after, _LAST_POSITION)
        query = _RECORDED.where(_events.position > after).order_by(_events.position).limit(_within(limit, _MOST))
        with translated():
            async with self._engine.connect() as connection:
                if self._horizon is None:
                    rows = await _rows(connection, query)
                else:
                    rows = await _settled_rows(connection, query, after, self._horizon)
        return [self._record(row) for row in rows]

    async def head(self) -> int:
        with translated():
            async with self._engine.connect() as connection:
                return int((await connection.execute(_HEAD)).scalar_one())

    def _record(self, row: Row[Any]) -> RecordedEvent:
        try:
            return self._upcasters.apply(_record(row))
        except CorruptEvent as error:
            error.position = row.position
            raise


def _within(number: int, last: int) -> int:
    """What a caller of a caller may have asked for, as a number that the database knows."""
    return max(0, min(number, last))


async def _rows(connection: AsyncConnection, query: Select[Any]) -> Sequence[Row[Any]]:
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


async def _settled_rows(
    connection: AsyncConnection, query: Select[Any], after: int, horizon: Horizon
) -> Sequence[Row[Any]]:
    """The rows up to the first gap that may still be filled: see `positions.py`.

    Rows are judged by what was settled before they were read. What is learned later, by us or by another reader, holds
    for later snapshots only: so the rows are read again.
    """
    settled = horizon.settled
    rows = await _rows(connection, query)
    whole = _before_first_gap(rows, after, settled)
    if whole == len(rows):
        return rows
    horizon.learn(await look(connection))
    if horizon.settled > settled:
        settled = horizon.settled
        rows = await _rows(connection, query)
        whole = _before_first_gap(rows, after, settled)
    return rows[:whole]


def _before_first_gap(rows: Sequence[Row[Any]], after: int, settled: int) -> int:
    return before_first_gap([row.position for row in rows], after, settled)


def _record(row: Row[Any]) -> RecordedEvent:
    position, tenant, stream, version, event_id, kind, schema_version, time, data, metadata = tuple(row)
    try:
        moment = time if isinstance(time, datetime) else parse_rfc3339(time.decode())
    except ValueError as error:
        raise CorruptEvent(tenant, stream, version, f"its time: {error}") from error
    return RecordedEvent(
        position,
        tenant,
        stream,
        version,
        event_id,
        kind,
        schema_version,
        moment,
        decode(tenant, stream, version, "data", data),
        decode(tenant, stream, version, "metadata", metadata),
    )
