"""The store in memory: for tests and for trying things out. It keeps every promise of the contract but durability.

Owns its rows as the SQL store's tables have them, JSON text included, so that what is read is what was stored and not
the caller's own objects.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from cortex_core.eventsourcing.errors import DuplicateId, StaleVersion
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
from cortex_core.eventsourcing.store import Outbox
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current

InboxKey = tuple[str, str, str]


@dataclass(slots=True)
class EventRow:
    """A row of `events`, position aside. Mutable, so that a test can spoil one."""

    tenant: str
    stream: str
    version: int
    id: str
    type: str
    schema_version: int
    time: datetime
    data: str
    metadata: str


@dataclass(slots=True)
class MemoryTransaction:
    """What will be true once the block has ended well."""

    events: list[EventRow] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    inbox: set[InboxKey] = field(default_factory=set)


class MemoryOutbox:
    """`Outbox` over a dictionary that remembers the order of its keys."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._unsent: dict[str, Message] = {}
        self._watchers: list[Callable[[], None]] = []

    async def pending(self, limit: int) -> list[Message]:
        return list(self._unsent.values())[:limit]

    async def mark_sent(self, ids: Sequence[str]) -> None:
        for each in ids:
            self._unsent.pop(each, None)

    async def count_pending(self) -> int:
        return len(self._unsent)

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_added)
        return lambda: self._watchers.remove(on_added)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._messages

    def add(self, messages: Sequence[Message]) -> None:
        """Called with what a transaction has committed."""
        numbered = enumerate(messages, len(self._messages) + 1)
        added = {message.id: replace(message, sequence=sequence) for sequence, message in numbered}
        self._messages |= added
        self._unsent |= added
        if added:
            for watcher in tuple(self._watchers):
                watcher()


class MemoryInbox:
    """`Inbox` over a set."""

    def __init__(self) -> None:
        self.seen: set[InboxKey] = set()

    async def once(self, transaction: MemoryTransaction, consumer: str, event_id: str) -> bool:
        key = (current().tenant, consumer, event_id)
        if key in self.seen or key in transaction.inbox:
            return False
        transaction.inbox.add(key)
        return True


class MemoryEventStore:
    """`EventStore[MemoryTransaction]`. Writers take turns, as they do in SQLite."""

    def __init__(self, *, clock: Clock | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock or SystemClock()
        self._max_bytes = max_bytes
        self._writing = asyncio.Lock()
        self._rows: list[EventRow] = []
        self._streams: defaultdict[tuple[str, str], list[int]] = defaultdict(list)  # version - 1 -> index of the row
        self._ids: set[str] = set()
        self._outbox = MemoryOutbox()
        self.outbox: Outbox = self._outbox
        self.inbox = MemoryInbox()

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[MemoryTransaction], Awaitable[None]] | None = None,
    ) -> int:
        tenant, metadata, now = current().tenant, surroundings(), self._clock.now()
        rows = [
            EventRow(
                tenant,
                stream,
                version,
                event.id,
                event.type,
                event.schema_version,
                now,
                encode(event, self._max_bytes),
                metadata,
            )
            for version, event in enumerate(events, expected_version + 1)
        ]
        async with self.transaction() as transaction:
            actual = len(self._streams.get((tenant, stream), ()))
            if actual != expected_version:
                raise StaleVersion(stream, expected_version, actual)
            _refuse_known_ids([row.id for row in rows], self._ids)
            transaction.events.extend(rows)
            await self.enqueue(transaction, messages)
            if also is not None:
                await also(transaction)
        return expected_version + len(rows)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        indexes = self._streams.get((current().tenant, stream), [])[after:]
        return [self._recorded(index) for index in indexes[:limit]]

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        return [self._recorded(index) for index in range(after, min(after + limit, len(self._rows)))]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        async with self._writing:
            transaction = MemoryTransaction()
            yield transaction
            self._commit(transaction)

    async def enqueue(self, transaction: MemoryTransaction, messages: Sequence[Message]) -> None:
        check_sizes(messages, self._max_bytes)
        _refuse_known_ids(
            [message.id for message in messages], self._outbox, {each.id for each in transaction.messages}
        )
        transaction.messages.extend(messages)

    async def check(self) -> None:
        """Memory always answers."""

    def _commit(self, transaction: MemoryTransaction) -> None:
        for row in transaction.events:
            self._streams[row.tenant, row.stream].append(len(self._rows))
            self._rows.append(row)
            self._ids.add(row.id)
        self.inbox.seen |= transaction.inbox
        self._outbox.add(transaction.messages)

    def _recorded(self, index: int) -> RecordedEvent:
        row = self._rows[index]
        return RecordedEvent(
            index + 1,
            row.tenant,
            row.stream,
            row.version,
            row.id,
            row.type,
            row.schema_version,
            row.time,
            decode(row.tenant, row.stream, row.version, "data", row.data),
            decode(row.tenant, row.stream, row.version, "metadata", row.metadata),
        )


def _refuse_known_ids(ids: Sequence[str], *known: "MemoryOutbox | set[str]") -> None:
    for position, each in enumerate(ids):
        if each in ids[:position] or any(each in place for place in known):
            raise DuplicateId(f"{each} is there already", id=each)
