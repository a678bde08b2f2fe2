"""Applying: the next events of a generation and its checkpoint, in one transaction, once.

Owns what happens where that fails. A batch that fails is taken again one event at a time, so that all before the one
at fault are in; there the generation stops, or parks the stream and goes on. A row that cannot be read is at fault too.
Refuses to wait and to repeat: the projector does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from cortex_core.eventsourcing.checkpoints import Checkpoint, Parked
from cortex_core.eventsourcing.errors import CorruptEvent
from cortex_core.eventsourcing.projections import Projection, code_of, is_transient, reason_of
from cortex_core.eventsourcing.records import RecordedEvent
from cortex_core.eventsourcing.store import EventStore
from cortex_core.kernel.clock import Clock

T = TypeVar("T")

Poison = Literal["stop", "park"]
_Stream = tuple[str, str]


class Overtaken(Exception):
    """Somebody else has moved the checkpoint: our effects are undone, theirs stand."""


class Stuck(Exception):
    """The generation stays where it is: at `event`, or, where that cannot even be read, at `position`."""

    def __init__(self, error: Exception, event: RecordedEvent | None, position: int) -> None:
        super().__init__(str(error))
        self.error, self.event, self.position = error, event, position


@dataclass(frozen=True, slots=True)
class Applied:
    """What a round came to. `more`: another may find events; `fault`: what a stream was parked for just now."""

    position: int
    events: int = 0
    more: bool = False
    fault: Stuck | None = None


@dataclass(slots=True)
class _Memory:
    """Of a generation, as we left it. `careful`: up to which position events are taken one at a time."""

    position: int
    parked: set[_Stream]
    careful: int = 0


class Applier(Generic[T]):
    """See the module. `batch` events a transaction; at most `park_limit` streams are parked a generation: more than
    that is no bad row, but a bug."""

    def __init__(
        self,
        store: EventStore[T],
        projection: Projection[T],
        *,
        clock: Clock,
        batch: int,
        poison: Poison,
        park_limit: int,
    ) -> None:
        self._store = store
        self._projection = projection
        self._handles = None if projection.handles is None else frozenset(projection.handles)
        self._clock = clock
        self._batch = batch
        self._park_limit = park_limit if poison == "park" else 0
        self._memory: dict[int, _Memory] = {}

    async def apply_next(self, checkpoint: Checkpoint) -> Applied:
        """Raises Overtaken, Stuck, and whatever time may heal."""
        memory = await self._recall(checkpoint)
        limit = 1 if checkpoint.position < memory.careful else self._batch
        try:
            events = await self._store.read_all(after=checkpoint.position, limit=limit)
        except CorruptEvent as error:
            at = error.position or checkpoint.position + limit
            return await self._at_fault(checkpoint, memory, Stuck(error, None, at), limit)
        if not events:
            return Applied(checkpoint.position)
        try:
            async with self._store.transaction() as transaction:
                await self.apply_within(transaction, checkpoint, events)
        except Overtaken:
            raise
        except Exception as error:
            if is_transient(error):
                raise
            return await self._at_fault(checkpoint, memory, Stuck(error, events[0], events[-1].position), limit)
        memory.position = events[-1].position
        return Applied(memory.position, len(events), more=len(events) == limit)

    async def apply_within(self, transaction: T, checkpoint: Checkpoint, events: Sequence[RecordedEvent]) -> None:
        """Moves the checkpoint to the last of `events` and gives the projection those that are its. Raises Overtaken,
        and what the projection raises."""
        if not await self._store.checkpoints.advance(transaction, checkpoint, events[-1].position):
            raise Overtaken
        parked = (await self._recall(checkpoint)).parked
        mine = [each for each in events if self._is_handled(each) and (each.tenant, each.stream) not in parked]
        if mine:
            await self._projection.apply(transaction, checkpoint.generation, mine)

    async def look(self, checkpoint: Checkpoint) -> Applied:
        """Applies nothing; learns what is parked, for `count_parked`. Raises EventStoreUnavailable."""
        await self._recall(checkpoint)
        return Applied(checkpoint.position)

    def count_parked(self, generation: int) -> int:
        """As far as it is known here."""
        return len(self._memory[generation].parked) if generation in self._memory else 0

    def _is_handled(self, event: RecordedEvent) -> bool:
        return self._handles is None or event.type in self._handles

    async def _recall(self, checkpoint: Checkpoint) -> _Memory:
        """What is parked, asked again only where the checkpoint is not as we left it: whoever moved it may have
        parked something."""
        memory = self._memory.get(checkpoint.generation)
        if memory is None or memory.position != checkpoint.position:
            parked = await self._store.checkpoints.parked(checkpoint.projection, checkpoint.generation)
            careful = memory.careful if memory else 0
            memory = _Memory(checkpoint.position, {(each.tenant, each.stream) for each in parked}, careful)
            self._memory[checkpoint.generation] = memory
        return memory

    async def _at_fault(self, checkpoint: Checkpoint, memory: _Memory, stuck: Stuck, limit: int) -> Applied:
        if limit > 1:
            memory.careful = stuck.position
            return Applied(checkpoint.position, more=True)
        stream = _stream_of(stuck)
        known = stream in memory.parked
        if stream is None or not (known or len(memory.parked) < self._park_limit):
            raise stuck
        await self._park(checkpoint, stuck, stream)
        memory.position = stuck.position
        memory.parked.add(stream)
        return Applied(stuck.position, more=True, fault=None if known else stuck)

    async def _park(self, checkpoint: Checkpoint, stuck: Stuck, stream: _Stream) -> None:
        parked = Parked(
            checkpoint.projection,
            checkpoint.generation,
            *stream,
            stuck.position,
            code_of(stuck.error),
            reason_of(stuck.error),
            self._clock.now(),
        )
        async with self._store.transaction() as transaction:
            if not await self._store.checkpoints.advance(transaction, checkpoint, stuck.position):
                raise Overtaken
            await self._store.checkpoints.park(transaction, parked)


def _stream_of(stuck: Stuck) -> _Stream | None:
    """None where it is not known, or not known where the stream's row ends."""
    if stuck.event is not None:
        return stuck.event.tenant, stuck.event.stream
    if isinstance(stuck.error, CorruptEvent) and stuck.error.position is not None:
        return stuck.error.details["tenant"], stuck.error.details["stream"]
    return None
