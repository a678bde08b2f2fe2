"""The durable store: SQLAlchemy Core over one database file of the service's own.

Owns the transaction in which events, messages and the service's own rows become true together. Refuses to decide who
may write what: the expected version does. Every write goes through `transaction`, the one place that begins and
commits; appends share theirs with others (`group.py`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.fencing import Fence
from cortex_core.eventsourcing.leases import Leases
from cortex_core.eventsourcing.records import MAX_BYTES, Message, NewEvent, RecordedEvent, check_messages
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.appending import Append, event_rows, message_rows
from cortex_core.eventsourcing.sql.checkpoints import SqlCheckpoints
from cortex_core.eventsourcing.sql.committing import Committer
from cortex_core.eventsourcing.sql.engines import BUSY_TIMEOUT, Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.eventsourcing.sql.group import GroupLimits, GroupWriter
from cortex_core.eventsourcing.sql.leases import SqlLeases
from cortex_core.eventsourcing.sql.outbox import SqlInbox, SqlOutbox
from cortex_core.eventsourcing.sql.reading import EventReader
from cortex_core.eventsourcing.sql.snapshots import SqlSnapshots
from cortex_core.eventsourcing.sql.turns import Turns
from cortex_core.eventsourcing.store import Outbox
from cortex_core.eventsourcing.upcasting import Upcasters
from cortex_core.eventsourcing.watchers import tell
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current


class SqlEventStore:
    """`EventStore[AsyncConnection]`. Made by `open_event_store`."""

    def __init__(
        self,
        engines: Engines,
        *,
        clock: Clock,
        max_bytes: int = MAX_BYTES,
        group: GroupLimits | None = None,
        patience: float = 2 * BUSY_TIMEOUT,
        upcasters: Upcasters | None = None,
    ) -> None:
        """`patience` (seconds): how long a writer waits for its turn. An `also` has three quarters of it, so that those
        who wait behind it do not lose theirs."""
        self._engines = engines
        self._clock = clock
        self._max_bytes = max_bytes
        self._reader = EventReader(engines, upcasters or Upcasters())
        self._outbox = SqlOutbox(engines, clock, self.transaction)
        self.outbox: Outbox = self._outbox
        self.inbox = SqlInbox(clock, self.transaction)
        self.leases: Leases = SqlLeases(engines, clock, self.transaction)
        self._turns = Turns(engines.writer, patience)
        self.snapshots = SqlSnapshots(engines, clock, self.transaction)
        self.checkpoints = SqlCheckpoints(engines, clock)
        self._watchers: list[Callable[[], None]] = []
        self._appended: set[int] = set()  # transactions, by the identity of their connection, that have added events
        committer = Committer(
            self.transaction, self._turns, self._outbox.has_added, self._has_appended, also_within=0.75 * patience
        )
        self._group = GroupWriter(committer, group or GroupLimits(), patience)

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[AsyncConnection], Awaitable[None]] | None = None,
        fence: Fence | None = None,
    ) -> int:
        self._turns.refuse_within()
        check_messages(messages)
        rows = event_rows(stream, events, expected_version, fence, self._max_bytes)
        await self._group.write(
            Append(
                (current().tenant, stream),
                expected_version,
                self._clock.now(),
                rows,
                message_rows(messages),
                fence,
                also,
                None if also is None else copy_context(),
            )
        )
        return expected_version + len(rows)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        return await self._reader.read(stream, after=after, limit=limit)

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        return await self._reader.read_all(after=after, limit=limit)

    async def head(self) -> int:
        return await self._reader.head()

    def watch(self, on_appended: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_appended)
        return lambda: self._watchers.remove(on_appended)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with self._turns.begin() as connection:
                try:
                    yield connection
                finally:
                    added = self._outbox.end(connection)
                    appended = id(connection) in self._appended
                    self._appended.discard(id(connection))
        if added:
            self._outbox.tell_watchers()
        if appended:
            tell(self._watchers)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """For queries on the service's own tables: one consistent view, which keeps no writer waiting."""
        with translated():
            async with self._engines.reader.begin() as connection:
                yield connection

    async def enqueue(self, transaction: AsyncConnection, messages: Sequence[Message]) -> None:
        check_messages(messages)
        await self._outbox.add(transaction, messages)

    async def close(self) -> None:
        """`open_event_store` calls it at the end. Appends that wait are told that nothing was done."""
        await self._group.close()

    async def check(self) -> None:
        async with self.reading() as connection:
            await connection.execute(select(schema.events.c.position).limit(1))

    def _has_appended(self, connection: AsyncConnection) -> None:
        self._appended.add(id(connection))
