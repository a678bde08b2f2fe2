"""Reading: rows become events again, or name what is corrupt."""

from typing import Any, Final

from sqlalchemy import Row, Select, select

from cortex_core.eventsourcing.errors import CorruptEvent
from cortex_core.eventsourcing.records import RecordedEvent, decode
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.kernel.clock import parse_rfc3339
from cortex_core.kernel.context import current

_events: Final = schema.events.c

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


class EventReader:
    """The reading half of `SqlEventStore`: see `EventStore.read` and `read_all`."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def read(self, stream: str, *, after: int, limit: int | None) -> list[RecordedEvent]:
        mine = (_events.tenant == current().tenant, _events.stream == stream, _events.version > after)
        return await self._recorded(_RECORDED.where(*mine).order_by(_events.version).limit(limit))

    async def read_all(self, *, after: int, limit: int) -> list[RecordedEvent]:
        return await self._recorded(_RECORDED.where(_events.position > after).order_by(_events.position).limit(limit))

    async def _recorded(self, query: Select[Any]) -> list[RecordedEvent]:
        with translated():
            async with self._engines.reader.begin() as connection:
                rows = (await connection.execute(query)).all()
        return [_record(row) for row in rows]


def _record(row: Row[Any]) -> RecordedEvent:
    position, tenant, stream, version, event_id, kind, schema_version, time, data, metadata = tuple(row)
    try:
        moment = parse_rfc3339(time.decode())
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
