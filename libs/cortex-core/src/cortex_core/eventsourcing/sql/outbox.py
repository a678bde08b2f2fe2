"""Outbox and inbox as tables."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import DuplicateId
from cortex_core.eventsourcing.fencing import Fence, check_fence
from cortex_core.eventsourcing.names import check_names
from cortex_core.eventsourcing.records import Message, SentBatches
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.appending import message_rows
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.eventsourcing.sql.leases import Transaction, epoch_of
from cortex_core.eventsourcing.sql.writing import Taken, insert_messages
from cortex_core.eventsourcing.watchers import tell
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

_outbox: Final = schema.outbox.c
_inbox: Final = schema.inbox.c
_MESSAGE: Final = (_outbox.id, _outbox.topic, _outbox.subject, _outbox.payload, _outbox.sequence)
_INBOX_KEY: Final = (_inbox.tenant, _inbox.consumer, _inbox.event_id)

# The one upsert both databases write alike.
_MARK_SEEN: Final = text(
    "INSERT INTO inbox (tenant, consumer, event_id, time) VALUES (:tenant, :consumer, :event_id, :time)"
    " ON CONFLICT DO NOTHING"
).bindparams(bindparam("time", type_=schema.Timestamp()))


class SqlOutbox:
    """`Outbox` over the table."""

    def __init__(self, engines: Engines, clock: Clock, transaction: Transaction) -> None:
        self._engines = engines
        self._clock = clock
        self._transaction = transaction
        self._watchers: list[Callable[[], None]] = []
        self._added: set[int] = set()  # transactions, by the identity of their connection, that have added messages

    async def pending(self, limit: int) -> list[Message]:
        query = select(*_MESSAGE).where(_outbox.sent_at.is_(None)).order_by(_outbox.sequence).limit(limit)
        return [_message(row) for row in await self._rows(query)]

    async def mark_sent(self, ids: Sequence[str], batch: int = 0, *, fence: Fence | None = None) -> None:
        if not ids:
            return
        mark = (
            update(schema.outbox)
            .where(_outbox.id.in_(ids), _outbox.sent_at.is_(None))
            .values(sent_at=self._clock.now(), batch=batch)
        )
        async with self._transaction() as connection:
            if fence is not None:
                check_fence("outbox", fence, await epoch_of(connection, fence.name), 0)
            await connection.execute(mark)

    async def count_pending(self) -> int:
        query = select(func.count()).select_from(schema.outbox).where(_outbox.sent_at.is_(None))
        [row] = await self._rows(query)
        return int(row[0])

    async def oldest_pending(self) -> datetime | None:
        query = select(_outbox.created_at).where(_outbox.sent_at.is_(None)).order_by(_outbox.sequence).limit(1)
        rows = await self._rows(query)
        return rows[0][0] if rows else None

    async def last_batch(self) -> int:
        [row] = await self._rows(select(func.max(_outbox.batch)).where(_outbox.batch.is_not(None)))
        return int(row[0] or 0)

    async def sent_after(self, batch: int, limit: int) -> SentBatches | None:
        query = select(*_MESSAGE, _outbox.batch).order_by(_outbox.batch, _outbox.sequence)
        rows = await self._rows(query.where(_outbox.batch > batch).limit(limit + 1))
        if len(rows) > limit:  # the last batch goes on: it comes next time, or alone
            cut = rows[-1].batch
            rows = [row for row in rows if row.batch < cut] or await self._rows(query.where(_outbox.batch == cut))
        return SentBatches([_message(row) for row in rows], rows[-1].batch) if rows else None

    async def trim(self, before: datetime, *, up_to: int, limit: int) -> int:
        oldest = select(_outbox.sequence).where(_outbox.batch <= up_to)
        oldest = oldest.order_by(_outbox.batch, _outbox.sequence).limit(limit)
        trim = delete(schema.outbox).where(_outbox.sequence.in_(oldest), _outbox.sent_at < before)
        async with self._transaction() as connection:
            return int((await connection.execute(trim)).rowcount)

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_added)
        return lambda: self._watchers.remove(on_added)

    async def add(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        """Within the caller's transaction. Raises DuplicateId."""
        if not messages:
            return
        try:
            await insert_messages(connection, message_rows(messages), self._clock.now())
        except Taken as taken:
            raise DuplicateId("a message's id is there already") from taken
        self.has_added(connection)

    def has_added(self, connection: AsyncConnection) -> None:
        """Called with a transaction that has added messages."""
        self._added.add(id(connection))

    def end(self, connection: AsyncConnection) -> bool:
        """Called when a transaction ends, well or not. Whether it has added messages."""
        added = id(connection) in self._added
        self._added.discard(id(connection))
        return added

    def tell_watchers(self) -> None:
        tell(self._watchers)

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with translated():
            async with self._engines.reader.begin() as connection:
                rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return rows


def _message(row: Row[Any]) -> Message:
    return Message(row.id, row.topic, row.subject, row.payload, row.sequence)


class SqlInbox:
    """`Inbox[AsyncConnection]` over the table."""

    def __init__(self, clock: Clock, transaction: Transaction) -> None:
        self._clock = clock
        self._transaction = transaction

    async def once(self, transaction: AsyncConnection, consumer: str, event_id: str) -> bool:
        check_names(consumer, event_id)
        mark = {"tenant": current().tenant, "consumer": consumer, "event_id": event_id, "time": self._clock.now()}
        return (await transaction.execute(_MARK_SEEN, mark)).rowcount == 1

    async def trim(self, before: datetime, *, limit: int) -> int:
        old = select(*_INBOX_KEY).where(_inbox.time < before).order_by(_inbox.time).limit(limit)
        trim = delete(schema.inbox).where(tuple_(*_INBOX_KEY).in_(old))
        async with self._transaction() as connection:
            return int((await connection.execute(trim)).rowcount)
