"""A tenure: what one leader of the relay knows and does, from taking the lease to losing it.

Every batch has a number that only grows. The wire keeps the newest number with the messages, in one write, and a
publication says which number it follows; so the leader knows at each step what the wire holds, or learns it.

Owns the steps of one round. Refuses to wait and to try again: that is the relay's.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cortex_core.eventsourcing.leases import Lease
from cortex_core.eventsourcing.records import Message
from cortex_core.eventsourcing.relay_hooks import (
    LossDetails,
    PublishedDetails,
    RepairDetails,
    SafeRelayHooks,
    Stage,
)
from cortex_core.eventsourcing.store import Outbox
from cortex_core.kernel.clock import Clock

BATCHES_AN_EPOCH: Final = 1_000_000
"""The numbers of epoch e are e · 10⁶ + 1, 2, …: whoever leads later counts higher, and need ask neither the wire nor
the store how far another has come. They stay below 2⁵³ for 9 · 10⁹ epochs."""


class Wire(Protocol):
    """Where messages go. It keeps the number of the last batch with them: lost when they are lost, there while they
    are."""

    async def last(self) -> int:
        """The number of the newest batch it holds; 0 where there is none."""
        ...

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        """All of them, in order, and then the number: durable when it returns `batch`. Where the newest batch it holds
        is not `after`, it publishes nothing and returns that one's number."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on its way: its number, and whose it is."""

    number: int
    ids: list[str]


class Tenure:
    """See the module. `limit` messages and `max_bytes` of payload a publication, but at least one message.

    `confirm` asks the store whether `lease` is still held, and raises LeaseLost where it is not. It is asked whenever
    the wire's number is news: who moved it may have been our successor, and what follows his number we must not write.
    `stage` and `messages` say what a round was doing when it raised.
    """

    def __init__(
        self,
        outbox: Outbox,
        wire: Wire,
        lease: Lease,
        confirm: Callable[[Lease], Awaitable[None]],
        *,
        limit: int,
        max_bytes: int,
        clock: Clock,
        hooks: SafeRelayHooks,
    ) -> None:
        self._outbox = outbox
        self._wire = wire
        self._lease = lease
        self._confirm = confirm
        self._limit = limit
        self._max_bytes = max_bytes
        self._clock = clock
        self._hooks = hooks
        self._numbers: Iterator[int] = _numbers(lease.epoch)
        self._has: int | None = None  # the wire's newest batch; None: it must be asked
        self._sent: int | None = None  # the newest batch that the store has marked
        self._flight: Batch | None = None  # given to the wire, and nobody knows whether it arrived
        self._landed: Batch | None = None  # arrived, and only its mark is missing
        self._repairing = False
        self._heard = 0.0
        self.over = False
        self.stage: Stage = "mark"
        self.messages = 0

    async def round(self) -> bool:
        """Whether there may be more to do at once. Raises Fenced where another leads, and whatever goes wrong."""
        self.stage, self.messages = "mark", 0
        await self._mark()
        has, sent = await self._look()
        return await (self._repair(has, sent) if has < sent else self._publish(has))

    def doubt(self, silence: float = 0.0) -> None:
        """Asks the wire in the next round, if it has not been heard of for `silence` seconds: it may not be what it
        was."""
        if self._clock.monotonic() - self._heard >= silence:
            self._has = None

    async def _look(self) -> tuple[int, int]:
        """The newest batches of the wire and of the store."""
        if self._sent is None:
            self.stage = "read"
            self._sent = await self._outbox.last_batch()
        if self._has is None:
            self.stage = "look"
            await self._learn(await self._wire.last())
            await self._what_became_of_the_flight()
        return self._has or 0, self._sent

    async def _what_became_of_the_flight(self) -> None:
        """Its number is there: only the answer was lost."""
        if self._flight is not None and self._flight.number == self._has:
            self._landed = self._flight
        self._flight = None
        await self._mark()

    async def _repair(self, has: int, sent: int) -> bool:
        if not self._repairing:
            self._repairing = True
            self._hooks.on_loss(LossDetails(has, sent))
        self.stage = "repair"
        found = await self._outbox.sent_after(has, self._limit)
        if found is None:  # trimmed by now
            self._sent, self._repairing = has, False
            return True
        self.messages = len(found.messages)
        if await self._given(found.messages, found.number, after=has):
            self._repairing = found.number < sent
            self._hooks.on_repair(RepairDetails(self.messages, found.number, not self._repairing))
        return True

    async def _publish(self, has: int) -> bool:
        self.stage = "read"
        waiting = await self._outbox.pending(self._limit)
        if not waiting:
            return False
        messages, number = _first(waiting, self._max_bytes), next(self._numbers, None)
        if number is None:
            self.over = True
            return True
        self.stage, self.messages = "publish", len(messages)
        self._flight = Batch(number, [message.id for message in messages])
        arrived = await self._given(messages, number, after=has)
        self._landed, self._flight = (self._flight if arrived else None), None
        await self._mark()
        return not arrived or len(messages) < len(waiting) or len(waiting) == self._limit

    async def _mark(self) -> None:
        if self._landed is None:
            return
        self.stage = "mark"
        await self._outbox.mark_sent(self._landed.ids, self._landed.number, fence=self._lease.fence)
        self._sent = self._landed.number
        self._hooks.on_published(PublishedDetails(len(self._landed.ids), self._landed.number))
        self._landed = None

    async def _given(self, messages: Sequence[Message], number: int, *, after: int) -> bool:
        """Whether the wire took them."""
        holds = await self._wire.publish(messages, number, after=after)
        if holds == number:
            self._has, self._heard = number, self._clock.monotonic()
            return True
        self._flight = None
        await self._learn(holds)
        return False

    async def _learn(self, number: int) -> None:
        self._has = None  # until we know that it is ours to go on from there
        await self._confirm(self._lease)
        self._has, self._heard = number, self._clock.monotonic()


def _numbers(epoch: int) -> Iterator[int]:
    first = epoch * BATCHES_AN_EPOCH
    return iter(range(first + 1, first + BATCHES_AN_EPOCH))


def _first(messages: Sequence[Message], max_bytes: int) -> list[Message]:
    """As many as fit, and at least one."""
    taken: list[Message] = []
    size = 0
    for message in messages:
        size += len(message.payload)
        if taken and size > max_bytes:
            break
        taken.append(message)
    return taken
