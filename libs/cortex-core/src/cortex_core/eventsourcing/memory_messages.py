"""Outbox and inbox in memory, row by row as the SQL store's tables have them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from cortex_core.eventsourcing.fencing import Fence, check_fence
from cortex_core.eventsourcing.names import check_names
from cortex_core.eventsourcing.records import Message, SentBatches
from cortex_core.eventsourcing.watchers import tell
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current

InboxKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent: when, and in which batch."""

    message: Message
    at: datetime
    batch: int

    @property
    def order(self) -> tuple[int, int]:
        return self.batch, self.message.sequence


@dataclass(slots=True)
class MemoryOutbox:
    """`Outbox` over dictionaries that remember the order of their keys. `epochs` are the leases'."""

    clock: Clock
    epochs: dict[tuple[str, str], int]
    _unsent: dict[str, tuple[Message, datetime]] = field(default_factory=dict)
    _sent: dict[str, Sent] = field(default_factory=dict)
    _watchers: list[Callable[[], None]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def pending(self, limit: int) -> list[Message]:
        return [message for message, _ in itertools.islice(self._unsent.values(), limit)]

    async def mark_sent(self, ids: Sequence[str], batch: int = 0, *, fence: Fence | None = None) -> None:
        if fence is not None:
            check_fence("outbox", fence, self.epochs.get((current().tenant, fence.name), 0), 0)
        for each in ids:
            if each in self._unsent:
                message, _ = self._unsent.pop(each)
                self._sent[each] = Sent(message, self.clock.now(), batch)

    async def count_pending(self) -> int:
        return len(self._unsent)

    async def oldest_pending(self) -> datetime | None:
        return next((at for _, at in self._unsent.values()), None)

    async def last_batch(self) -> int:
        return max((each.batch for each in self._sent.values()), default=0)

    async def sent_after(self, batch: int, limit: int) -> SentBatches | None:
        rows = sorted((each for each in self._sent.values() if each.batch > batch), key=lambda each: each.order)
        if not rows:
            return None
        cut = rows[limit].batch if len(rows) > limit else rows[-1].batch + 1
        whole = [each for each in rows if each.batch < cut] or [each for each in rows if each.batch == cut]
        return SentBatches([each.message for each in whole], whole[-1].batch)

    async def trim(self, before: datetime, *, up_to: int, limit: int) -> int:
        rows = sorted((each for each in self._sent.values() if each.batch <= up_to), key=lambda each: each.order)
        old = [each for each in rows[:limit] if each.at < before]
        for each in old:
            del self._sent[each.message.id]
        return len(old)

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(on_added)
        return lambda: self._watchers.remove(on_added)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._unsent or message_id in self._sent

    def add(self, messages: Sequence[Message]) -> None:
        """Called with what a transaction has committed."""
        now = self.clock.now()
        for message in messages:
            self._unsent[message.id] = replace(message, sequence=next(self._numbers)), now
        if messages:
            tell(self._watchers)


class Marking(Protocol):
    """What a transaction needs to have for the inbox: marks that are not true yet."""

    inbox: set[InboxKey]


@dataclass(slots=True)
class MemoryInbox:
    """`Inbox` over a dictionary of what was seen when."""

    clock: Clock
    _seen: dict[InboxKey, datetime] = field(default_factory=dict)

    async def once(self, transaction: Marking, consumer: str, event_id: str) -> bool:
        check_names(consumer, event_id)
        key = (current().tenant, consumer, event_id)
        if key in self._seen or key in transaction.inbox:
            return False
        transaction.inbox.add(key)
        return True

    async def trim(self, before: datetime, *, limit: int) -> int:
        old = list(itertools.islice((key for key, at in self._seen.items() if at < before), limit))
        for key in old:
            del self._seen[key]
        return len(old)

    def add(self, keys: set[InboxKey]) -> None:
        """Called with what a transaction has committed."""
        self._seen |= dict.fromkeys(keys, self.clock.now())
