"""The event store as a role. Contract: `cortex_core.testing.contracts.eventstore.EventStoreContract`.

A stream is one aggregate's history; its tenant is the context's. Appending is a decision made at a version: it stands
if nobody was faster, and then events, outgoing messages and whatever else belongs to it become durable together or not
at all. Refuses to know what events mean. Next: `relay.py` carries the outbox to the bus, `sql` is the real store.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from cortex_core.eventsourcing.checkpoints import Checkpoints
from cortex_core.eventsourcing.fencing import Fence
from cortex_core.eventsourcing.leases import Leases
from cortex_core.eventsourcing.records import Message, NewEvent, RecordedEvent, SentBatches
from cortex_core.eventsourcing.snapshots import Snapshots

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Outbox(Protocol):
    """Messages on their way out. Rows that were sent are kept: after the bus lost its memory they are its repair."""

    async def pending(self, limit: int) -> list[Message]:
        """The oldest unsent ones, in the order they were written; of every tenant."""
        ...

    async def mark_sent(self, ids: Sequence[str], batch: int = 0, *, fence: Fence | None = None) -> None:
        """They have reached the bus, in the batch of that number; 0 is none, which no repair will find. An id marked
        before stays as it is. Raises Fenced where the lease has changed hands: then nothing is marked."""
        ...

    async def count_pending(self) -> int: ...

    async def oldest_pending(self) -> datetime | None:
        """When the first of those that wait was written; None where nothing waits."""
        ...

    async def last_batch(self) -> int:
        """The highest number among the rows that are kept; 0 where there is none."""
        ...

    async def sent_after(self, batch: int, limit: int) -> SentBatches | None:
        """Kept messages of the batches above `batch`, in the order they were sent: whole batches, as many as fit into
        `limit` messages, and at least one. None where there is none."""
        ...

    async def trim(self, before: datetime, *, up_to: int, limit: int) -> int:
        """Deletes what was sent before that moment in batches up to that number: among the `limit` oldest rows, so
        call it again while it deletes that many. Returns how many it did."""
        ...

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        """Calls `on_added` after each commit, through this store, that added messages; what it raises is logged.
        Returns what ends that."""
        ...


class Inbox(Protocol[T_contra]):
    """What a consumer has had its effect of: at-least-once on the wire becomes once in effect."""

    async def once(self, transaction: T_contra, consumer: str, event_id: str) -> bool:
        """True the first time within the context's tenant. The mark is part of `transaction`, as the effect must be.

        Raises UnstorableEvent for names that no store takes."""
        ...

    async def trim(self, before: datetime, *, limit: int) -> int:
        """Forgets at most `limit` of what was seen before that moment, of every tenant. Returns how many."""
        ...


class EventStore(Protocol[T]):
    """See the module. `T` is its transaction: an `AsyncConnection` for SQL."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def inbox(self) -> Inbox[T]: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def snapshots(self) -> Snapshots: ...

    @property
    def checkpoints(self) -> Checkpoints[T]: ...

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[T], Awaitable[None]] | None = None,
        fence: Fence | None = None,
    ) -> int:
        """The stream's version afterwards; all of it is durable when that returns.

        `expected_version` 0: the stream is new. `also` runs last within the same transaction (an inline projection), in
        the caller's context; what it raises undoes everything. It must write by its argument only, and neither commit
        nor roll that back. Where appends share a transaction it may be called again, up to three times, after what it
        wrote was undone: whatever else it does, it must bear repetition. One that does not end in time is cancelled.
        `fence`: the epoch the writer believes to hold; a writer that gives none is not asked for one. After a
        cancellation, or EventStoreUnavailable that was `attempted`, read to learn what became of it: it was all or
        nothing.

        Raises Fenced before StaleVersion (whoever was replaced has nothing to decide again), DuplicateId,
        UnstorableEvent, EventTooLarge, EventStoreUnavailable.
        """
        ...

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """Events with a version above `after`, in order; empty where there is no such stream. Raises CorruptEvent."""
        ...

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        """Events of every tenant with a position above `after`, in order: for projections, never for answers. A
        CorruptEvent it raises says its position."""
        ...

    async def head(self) -> int:
        """The highest position that is committed; 0 in an empty store. `read_all` may not have come to it yet."""
        ...

    def watch(self, on_appended: Callable[[], None]) -> Callable[[], None]:
        """Calls `on_appended` after each commit, through this store, of events; what it raises is logged. Returns
        what ends that."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[T]:
        """Writes of one's own: committed when the block ends, undone when it raises. Writers take turns: keep it short,
        wait for nothing but the database, and do not append within it (that is what `also` is for): RuntimeError."""
        ...

    async def enqueue(self, transaction: T, messages: Sequence[Message]) -> None:
        """Puts messages into the outbox without an event. Raises EventTooLarge, UnstorableEvent, DuplicateId."""
        ...

    async def check(self) -> None:
        """Returns when the store answers. Raises EventStoreUnavailable."""
        ...
