"""What the tests of the relay share: hooks that note what they were told, a bus that is down, an outbox that fails."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime

from cortex_core.eventsourcing import (
    Fence,
    LoggingRelayHooks,
    MemoryEventStore,
    Message,
    Relay,
    RelayError,
    SentBatches,
)
from cortex_core.kernel.errors import CortexError, Kind

Running = Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]
MakeRelay = Callable[..., Relay]


async def add(store: MemoryEventStore, *names: str, payload: bytes = b"{}") -> None:
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(name, "order", "ord_1", payload) for name in names])


async def nothing_waits(store: MemoryEventStore) -> bool:
    return await store.outbox.count_pending() == 0


class BusDown(CortexError):
    code, kind = "bus.down", Kind.UNAVAILABLE


class Poisoned(CortexError):
    code, kind = "event.malformed", Kind.INVALID


@dataclass
class Told(LoggingRelayHooks):
    """The errors that the hook was told of, and the batches."""

    errors: list[RelayError] = field(default_factory=list)

    def on_error(self, details: RelayError, /) -> None:
        self.errors.append(details)


@dataclass
class Outbox:
    """A memory outbox whose steps can be made to fail."""

    store: MemoryEventStore
    failing: dict[str, Exception] = field(default_factory=dict)

    async def pending(self, limit: int) -> list[Message]:
        self._fail("pending")
        return await self.store.outbox.pending(limit)

    async def mark_sent(self, ids: Sequence[str], batch: int = 0, *, fence: Fence | None = None) -> None:
        self._fail("mark_sent")
        await self.store.outbox.mark_sent(ids, batch, fence=fence)

    async def count_pending(self) -> int:
        self._fail("count_pending")
        return await self.store.outbox.count_pending()

    async def oldest_pending(self) -> datetime | None:
        return await self.store.outbox.oldest_pending()

    async def last_batch(self) -> int:
        self._fail("last_batch")
        return await self.store.outbox.last_batch()

    async def sent_after(self, batch: int, limit: int) -> SentBatches | None:
        self._fail("sent_after")
        return await self.store.outbox.sent_after(batch, limit)

    async def trim(self, before: datetime, *, up_to: int, limit: int) -> int:
        return await self.store.outbox.trim(before, up_to=up_to, limit=limit)

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        return self.store.outbox.watch(on_added)

    async def add(self, *names: str) -> None:
        async with self.store.transaction() as transaction:
            await self.store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])

    def _fail(self, step: str) -> None:
        if step in self.failing:
            raise self.failing[step]
