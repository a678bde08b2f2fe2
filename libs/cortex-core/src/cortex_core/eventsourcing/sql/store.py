"""The durable store: SQLAlchemy Core over one database file of the service's own.

Owns the transaction in which events, messages and the service's own rows become true together. Refuses to decide who
may write what: the expected version does. Every write goes through `transaction`, the one place that begins and
commits: group commit (several appends a transaction) changes that place and nothing else.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.records import MAX_BYTES, Message, NewEvent, RecordedEvent, check_sizes
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.appending import insert_rows, rows_of
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.eventsourcing.sql.outbox import SqlInbox, SqlOutbox
from cortex_core.eventsourcing.sql.reading import EventReader
from cortex_core.eventsourcing.store import Outbox
from cortex_core.kernel.clock import Clock


class SqlEventStore:
    """`EventStore[AsyncConnection]`. Made by `open_event_store`."""

    def __init__(self, engines: Engines, *, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._engines = engines
        self._clock = clock
        self._max_bytes = max_bytes
        self._reader = EventReader(engines)
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
        rows = rows_of(stream, events, expected_version, self._clock, self._max_bytes)
        async with self.transaction() as connection:
            await insert_rows(connection, stream, rows, expected_version)
            await self._outbox.add(connection, messages)
            if also is not None:
                await also(connection)
        return expected_version + len(rows)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        return await self._reader.read(stream, after=after, limit=limit)

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        return await self._reader.read_all(after=after, limit=limit)

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
            await connection.execute(select(schema.events.c.position).limit(1))
