"""The durable store: SQLAlchemy Core over one database file of the service's own.

Owns the transaction in which events, messages and the service's own rows become true together. Refuses to decide who
may write what: the expected version does. Every write goes through `transaction`, the one place that begins and
commits: group commit (several appends a transaction) changes that place and nothing else.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Row, Select, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import CorruptEvent, DuplicateId, StaleVersion
from cortex_core.eventsourcing.records import (
    MAX_BYTES,
    Message,
    NewEvent,
    RecordedEvent,
    check_sizes,
    decode,
    encode,
    surroundings,
)
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import is_duplicate, translated
from cortex_core.eventsourcing.sql.outbox import SqlInbox, SqlOutbox
from cortex_core.eventsourcing.store import Outbox
from cortex_core.kernel.clock import Clock, parse_rfc3339
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


class SqlEventStore:
    """`EventStore[AsyncConnection]`. Made by `open_event_store`."""

    def __init__(self, engines: Engines, *, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._engines = engines
        self._clock = clock
        self._max_bytes = max_bytes
        self._outbox = SqlOutbox(engines, clock)
        self.outbox: Outbox = self._outbox
        self.inbox = SqlInbox(clock)

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[AsyncConnection], Awaitable[None]] | None = None,
    ) -> int:
        check_sizes(messages, self._max_bytes)
        rows = self._rows(stream, events, expected_version)
        async with self.transaction() as connection:
            await self._insert(connection, stream, rows, expected_version)
            await self._outbox.add(connection, messages)
            if also is not None:
                await also(connection)
        return expected_version + len(rows)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        mine = (_events.tenant == current().tenant, _events.stream == stream, _events.version > after)
        return await self._recorded(_RECORDED.where(*mine).order_by(_events.version).limit(limit))

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        return await self._recorded(_RECORDED.where(_events.position > after).order_by(_events.position).limit(limit))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with self._engines.writer.begin() as connection:
                try:
                    yield connection
                finally:
                    added = self._outbox.end(connection)
        if added:
            self._outbox.tell_watchers()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """For queries on the service's own tables: one consistent view, which keeps no writer waiting."""
        with translated():
            async with self._engines.reader.begin() as connection:
                yield connection

    async def enqueue(self, transaction: AsyncConnection, messages: Sequence[Message]) -> None:
        check_sizes(messages, self._max_bytes)
        await self._outbox.add(transaction, messages)

    async def check(self) -> None:
        async with self.reading() as connection:
            await connection.execute(select(_events.position).limit(1))

    def _rows(self, stream: str, events: Sequence[NewEvent], expected_version: int) -> list[dict[str, Any]]:
        tenant, metadata, now = current().tenant, surroundings(), self._clock.now()
        return [
            {
                "tenant": tenant,
                "stream": stream,
                "version": version,
                "id": event.id,
                "type": event.type,
                "schema_version": event.schema_version,
                "time": now,
                "data": encode(event, self._max_bytes),
                "metadata": metadata,
            }
            for version, event in enumerate(events, expected_version + 1)
        ]

    async def _insert(
        self, connection: AsyncConnection, stream: str, rows: list[dict[str, Any]], expected: int
    ) -> None:
        """Writers take turns, so the look decides; UNIQUE (tenant, stream, version) would hold if they did not."""
        tenant = current().tenant
        actual = await _version(connection, tenant, stream)
        if actual != expected:
            raise StaleVersion(stream, expected, actual)
        if not rows:
            return
        try:
            await connection.execute(insert(schema.events), rows)
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            raise DuplicateId("an event's id is there already", stream=stream) from error

    async def _recorded(self, query: Select[Any]) -> list[RecordedEvent]:
        async with self.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [_record(row) for row in rows]


async def _version(connection: AsyncConnection, tenant: str, stream: str) -> int:
    query = select(func.coalesce(func.max(_events.version), 0)).where(
        _events.tenant == tenant, _events.stream == stream
    )
    return int((await connection.execute(query)).scalar_one())


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
