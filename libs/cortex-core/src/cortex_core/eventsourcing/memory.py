"""The store in memory: for tests and for trying things out. It keeps every promise of the contract but durability.

Owns its rows as the SQL store's tables have them, JSON text included, so that what is read is what was stored and not
the caller's own objects.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cortex_core.eventsourcing.errors import CorruptEvent, DuplicateId, StaleVersion
from cortex_core.eventsourcing.fencing import Fence, check_fence
from cortex_core.eventsourcing.leases import Leases
from cortex_core.eventsourcing.memory_checkpoints import MemoryCheckpoints, MemorySnapshots, StagedCheckpoints
from cortex_core.eventsourcing.memory_leases import MemoryLeases
from cortex_core.eventsourcing.memory_messages import InboxKey, MemoryInbox, MemoryOutbox
from cortex_core.eventsourcing.names import check_names
from cortex_core.eventsourcing.records import (
    MAX_BYTES,
    Message,
    NewEvent,
    RecordedEvent,
    check_messages,
    decode,
    encode,
    surroundings,
)
from cortex_core.eventsourcing.store import Outbox
from cortex_core.eventsourcing.upcasting import Upcasters
from cortex_core.eventsourcing.watchers import tell
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current


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
    epoch: int


@dataclass(slots=True)
class MemoryTransaction:
    """What will be true once the block has ended well."""

    events: list[EventRow] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    inbox: set[InboxKey] = field(default_factory=set)
    checkpoints: StagedCheckpoints = field(default_factory=StagedCheckpoints)
    effects: list[Callable[[], None]] = field(default_factory=list)  # a caller's own, in memory: run by the commit


class MemoryEventStore:
    """`EventStore[MemoryTransaction]`. Writers take turns, as they do in SQLite."""

    def __init__(
        self, *, clock: Clock | None = None, max_bytes: int = MAX_BYTES, upcasters: Upcasters | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        self._upcasters = upcasters or Upcasters()
        self._max_bytes = max_bytes
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[Any] | None = None
        self._rows: list[EventRow] = []
        self._streams: defaultdict[tuple[str, str], list[int]] = defaultdict(list)  # version - 1 -> index of the row
        self._ids: set[str] = set()
        self.epochs: dict[tuple[str, str], int] = {}  # (tenant, lease) -> epoch: the table `leases`
        self._outbox = MemoryOutbox(self._clock, self.epochs)
        self.outbox: Outbox = self._outbox
        self.inbox = MemoryInbox(self._clock)
        self.leases: Leases = MemoryLeases(self._clock, self.epochs)
        self.snapshots = MemorySnapshots(self._clock)
        self.checkpoints = MemoryCheckpoints(self._clock)
        self._watchers: list[Callable[[], None]] = []

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[MemoryTransaction], Awaitable[None]] | None = None,
        fence: Fence | None = None,
    ) -> int:
        check_names(stream)
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
                0 if fence is None else fence.epoch,
            )
            for version, event in enumerate(events, expected_version + 1)
        ]
        async with self.transaction() as transaction:
            indexes = self._streams.get((tenant, stream), ())
            if fence is not None:
                of_stream = max((self._rows[index].epoch for index in indexes), default=0)
                check_fence(stream, fence, self.epochs.get((tenant, fence.name), 0), of_stream)
            actual = len(indexes)
            if actual != expected_version:
                raise StaleVersion(stream, expected_version, actual)
            _refuse_known_ids([row.id for row in rows], self._ids)
            transaction.events.extend(rows)
            await self.enqueue(transaction, messages)
            if also is not None:
                await also(transaction)
        return expected_version + len(rows)

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        indexes = self._streams.get((current().tenant, stream), [])[max(0, after) :]
        return [self._recorded(index) for index in indexes[:limit]]

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        first = max(0, after)
        return [self._recorded(index) for index in range(first, min(first + limit, len(self._rows)))]

    async def head(self) -> int:
        return len(self._rows)

    def watch(self, on_appended: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_appended)
        return lambda: self._watchers.remove(on_appended)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        if self._writer is not None and self._writer is asyncio.current_task():
            raise RuntimeError("a write within a transaction would wait for itself")
        async with self._writing:
            self._writer = asyncio.current_task()
            try:
                transaction = MemoryTransaction()
                yield transaction
                self._commit(transaction)
            finally:
                self._writer = None

    async def enqueue(self, transaction: MemoryTransaction, messages: Sequence[Message]) -> None:
        check_messages(messages)
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
        self.inbox.add(transaction.inbox)
        self.checkpoints.commit(transaction.checkpoints)
        for effect in transaction.effects:
            effect()
        self._outbox.add(transaction.messages)
        if transaction.events:
            tell(self._watchers)

    def _recorded(self, index: int) -> RecordedEvent:
        try:
            return self._upcasters.apply(_record(index + 1, self._rows[index]))
        except CorruptEvent as error:
            error.position = index + 1
            raise


def _record(position: int, row: EventRow) -> RecordedEvent:
    return RecordedEvent(
        position,
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
