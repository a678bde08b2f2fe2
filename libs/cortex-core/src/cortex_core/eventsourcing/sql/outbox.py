"""Outbox and inbox as tables."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import bindparam, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.errors import DuplicateId
from cortex_core.eventsourcing.records import Message
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import is_duplicate, translated
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

_outbox: Final = schema.outbox.c

# The one upsert both databases write alike.
_MARK_SEEN: Final = text(
    "INSERT INTO inbox (tenant, consumer, event_id, time) VALUES (:tenant, :consumer, :event_id, :time)"
    " ON CONFLICT DO NOTHING"
).bindparams(bindparam("time", type_=schema.Timestamp()))


class SqlOutbox:
    """`Outbox` over the table."""

    def __init__(self, engines: Engines, clock: Clock) -> None:
        self._engines = engines
        self._clock = clock
        self._watchers: list[Callable[[], None]] = []
        self._added: set[int] = set()  # transactions, by the identity of their connection, that have added messages

    async def pending(self, limit: int) -> list[Message]:
        query = (
            select(_outbox.id, _outbox.topic, _outbox.subject, _outbox.payload, _outbox.sequence)
            .where(_outbox.sent_at.is_(None))
            .order_by(_outbox.sequence)
            .limit(limit)
        )
        with translated():
            async with self._engines.reader.begin() as connection:
                rows = (await connection.execute(query)).all()
        return [Message(*row) for row in rows]

    async def mark_sent(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        mark = (
            update(schema.outbox)
            .where(_outbox.id == bindparam("message_id"), _outbox.sent_at.is_(None))
            .values(sent_at=self._clock.now())
        )
        with translated():
            async with self._engines.writer.begin() as connection:
                await connection.execute(mark, [{"message_id": each} for each in ids])

    async def count_pending(self) -> int:
        query = select(func.count()).select_from(schema.outbox).where(_outbox.sent_at.is_(None))
        with translated():
            async with self._engines.reader.begin() as connection:
                return int((await connection.execute(query)).scalar_one())

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_added)
        return lambda: self._watchers.remove(on_added)

    async def add(self, connection: AsyncConnection, messages: Sequence[Message]) -> None:
        """Within the caller's transaction. Raises DuplicateId."""
        if not messages:
            return
        tenant, now = current().tenant, self._clock.now()
        rows = [
            {
                "id": each.id,
                "tenant": tenant,
                "topic": each.topic,
                "subject": each.subject,
                "payload": each.payload,
                "created_at": now,
            }
            for each in messages
        ]
        try:
            await connection.execute(insert(schema.outbox), rows)
        except IntegrityError as error:
            if not is_duplicate(error):
                raise
            raise DuplicateId("a message's id is there already") from error
        self._added.add(id(connection))

    def end(self, connection: AsyncConnection) -> bool:
        """Called when a transaction ends, well or not. Whether it has added messages."""
        added = id(connection) in self._added
        self._added.discard(id(connection))
        return added

    def tell_watchers(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


class SqlInbox:
    """`Inbox[AsyncConnection]` over the table."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def once(self, transaction: AsyncConnection, consumer: str, event_id: str) -> bool:
        mark = {"tenant": current().tenant, "consumer": consumer, "event_id": event_id, "time": self._clock.now()}
        return (await transaction.execute(_MARK_SEEN, mark)).rowcount == 1
