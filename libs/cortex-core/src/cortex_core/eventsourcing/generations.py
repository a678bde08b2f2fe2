"""Generations: a projection's first one begun, the next one built beside the one that is shown, the two switched.

The switch is one transaction. It holds the live generation's checkpoint, gives the new one what it still lacks of it,
and turns both rows: whoever reads goes by `live`, and sees neither none nor both, and never less than before.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

from cortex_core.eventsourcing.applying import Applier
from cortex_core.eventsourcing.checkpoints import Checkpoint, Stage
from cortex_core.eventsourcing.projections import Projection, RebuildInProgress
from cortex_core.eventsourcing.records import RecordedEvent
from cortex_core.eventsourcing.store import EventStore

T = TypeVar("T")


class Generations(Generic[T]):
    """See the module."""

    def __init__(self, store: EventStore[T], projection: Projection[T], applier: Applier[T], batch: int) -> None:
        self._store = store
        self._checkpoints = store.checkpoints
        self._projection = projection
        self._applier = applier
        self._batch = batch

    async def current(self) -> list[Checkpoint]:
        """All there are. Where the projection has none, the first is begun, and shown while it fills: there is nothing
        else to show. Where the live one was made by older logic than ours, the next is begun."""
        rows = await self._checkpoints.generations(self._projection.name)
        if rows and not self._is_outdated(rows):
            return rows
        async with self._store.transaction() as transaction:
            held = await self._checkpoints.locked(transaction, self._projection.name)
            if not held:
                await self._begin(transaction, 1, Stage.LIVE)
            elif self._is_outdated(held):
                await self._retire_building(transaction, held)
                await self._begin(transaction, held[-1].generation + 1, Stage.BUILDING)
        return await self._checkpoints.generations(self._projection.name)

    async def rebuild(self) -> int:
        """Begins the next generation, and returns its number. Raises RebuildInProgress."""
        await self.current()
        async with self._store.transaction() as transaction:
            held = await self._checkpoints.locked(transaction, self._projection.name)
            for each in held:
                if each.stage is Stage.BUILDING:
                    raise RebuildInProgress(self._projection.name, each.generation)
            generation = held[-1].generation + 1
            if not await self._begin(transaction, generation, Stage.BUILDING):
                raise RebuildInProgress(self._projection.name, generation)
        return generation

    async def abandon(self) -> int | None:
        """Gives up the generation that is being built; None where there is none."""
        async with self._store.transaction() as transaction:
            held = await self._checkpoints.locked(transaction, self._projection.name)
            return await self._retire_building(transaction, held)

    async def switch(self, generation: int) -> bool:
        """Makes the generation, if it is still being built, the live one, where it lacks nothing of that, or less than
        a batch. Raises what the projection raises."""
        async with self._store.transaction() as transaction:
            held = {each.stage: each for each in await self._checkpoints.locked(transaction, self._projection.name)}
            live, building = held.get(Stage.LIVE), held.get(Stage.BUILDING)
            if live is None or building is None or building.generation != generation:
                return False
            lacking = await self._lacking(building, live)
            if lacking is None:
                return False
            if lacking:
                await self._applier.apply_within(transaction, building, lacking)
            await self._checkpoints.turn(transaction, live, Stage.RETIRED)
            await self._checkpoints.turn(transaction, building, Stage.LIVE)
        return True

    async def clear(self, retired: Checkpoint) -> bool:
        """Drops a portion of a retired generation, if it still is one: its number may have been given again since
        `retired` was read. True while there is more."""
        async with self._store.transaction() as transaction:
            if not await self._checkpoints.turn(transaction, retired, Stage.RETIRED):  # holds that row, and no other
                return False
            more = await self._projection.drop(transaction, retired.generation)
            if not more:
                await self._checkpoints.forget(transaction, retired.projection, retired.generation)
        return more

    def _is_outdated(self, rows: Sequence[Checkpoint]) -> bool:
        live = [each for each in rows if each.stage is Stage.LIVE]
        newest = max((each.logic for each in rows if each.stage is not Stage.RETIRED), default=0)
        return bool(live) and newest < self._projection.version

    async def _begin(self, transaction: T, generation: int, stage: Stage) -> bool:
        name, logic = self._projection.name, self._projection.version
        begun = await self._checkpoints.begin(transaction, name, generation, stage, logic)
        if begun:
            await self._projection.begin(transaction, generation)
        return begun

    async def _retire_building(self, transaction: T, held: Sequence[Checkpoint]) -> int | None:
        for each in held:
            if each.stage is Stage.BUILDING:
                await self._checkpoints.turn(transaction, each, Stage.RETIRED)
                return each.generation
        return None

    async def _lacking(self, building: Checkpoint, live: Checkpoint) -> list[RecordedEvent] | None:
        """At least what the live one has applied and the other has not; None where that is more than a batch, or cannot
        be read yet: where positions settle late, who moved the live one may have seen more of them settle than we."""
        if building.position >= live.position:
            return []
        events = await self._store.read_all(after=building.position, limit=self._batch)
        if not events or events[-1].position < live.position:
            return None
        return events
