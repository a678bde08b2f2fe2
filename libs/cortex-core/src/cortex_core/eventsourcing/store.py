"""The event store as a role. Contract: `cortex_core.testing.contracts.eventstore.EventStoreContract`.

A stream is one aggregate's history; its tenant is the context's. Appending is a decision made at a version: it stands
if nobody was faster, and then events, outgoing messages and whatever else belongs to it become durable together or not
at all. Refuses to know what events mean. Next: `relay.py` carries the outbox to the bus, `sql` is the real store.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from cortex_core.eventsourcing.records import Message, NewEvent, RecordedEvent

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Outbox(Protocol):
    """Messages on their way out. Rows that were sent are kept: after the bus lost its memory they are its repair."""

    async def pending(self, limit: int) -> list[Message]:
        """The oldest unsent ones, in the order they were written; of every tenant."""
        ...

    async def mark_sent(self, ids: Sequence[str]) -> None:
        """They have reached the bus. An id marked before stays as it is."""
        ...

    async def count_pending(self) -> int: ...

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        """Calls `on_added` after each commit, through this store, that added messages. Returns what ends that."""
        ...


class Inbox(Protocol[T_contra]):
    """What a consumer has had its effect of: at-least-once on the wire becomes once in effect."""

    async def once(self, transaction: T_contra, consumer: str, event_id: str) -> bool:
        """True the first time within the context's tenant. The mark is part of `transaction`, as the effect must be."""
        ...


class EventStore(Protocol[T]):
    """See the module. `T` is its transaction: an `AsyncConnection` for SQL."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def inbox(self) -> Inbox[T]: ...

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int,
        messages: Sequence[Message] = (),
        also: Callable[[T], Awaitable[None]] | None = None,
    ) -> int:
        """The stream's version afterwards; all of it is durable when that returns.

        `expected_version` 0: the stream is new. `also` runs last within the same transaction (an inline projection);
        what it raises undoes everything. After a cancellation, or EventStoreUnavailable, read to learn what became of
        it: it was all or nothing. Raises StaleVersion, DuplicateId, UnstorableEvent,
        EventTooLarge, EventStoreUnavailable.
        """
        ...

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """Events with a version above `after`, in order; empty where there is no such stream. Raises CorruptEvent."""
        ...

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        """Events of every tenant with a position above `after`, in order: for projections, never for answers."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[T]:
        """Writes of one's own: committed when the block ends, undone when it raises. Writers take turns: keep it short,
        wait for nothing but the database, and do not append within it (that is what `also` is for)."""
        ...

    async def enqueue(self, transaction: T, messages: Sequence[Message]) -> None:
        """Puts messages into the outbox without an event. Raises EventTooLarge, DuplicateId."""
        ...

    async def check(self) -> None:
        """Returns when the store answers. Raises EventStoreUnavailable."""
        ...
