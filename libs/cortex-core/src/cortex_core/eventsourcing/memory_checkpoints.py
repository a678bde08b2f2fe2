"""Snapshots and checkpoints in memory, for `MemoryEventStore`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from cortex_core.eventsourcing.checkpoints import Checkpoint, Parked, Stage
from cortex_core.eventsourcing.snapshots import OnSnapshotTrouble, Snapshot, SnapshotTrouble, seal, tell, unseal
from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current


@dataclass(slots=True)
class SnapshotRow:
    """A row of `snapshots`, its key aside. Mutable, so that a test can spoil one."""

    schema_version: int
    time: datetime
    state: str | bytes


class MemorySnapshots:
    """`Snapshots` over a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rows: dict[tuple[str, str, int], SnapshotRow] = {}

    async def save(self, stream: str, version: int, state: Mapping[str, Any], *, schema_version: int) -> None:
        tenant = current().tenant
        sealed = seal(tenant, stream, version, schema_version, state)
        self.rows[tenant, stream, version] = SnapshotRow(schema_version, self._clock.now(), sealed)

    async def newest(
        self,
        stream: str,
        *,
        schema_version: int,
        at_or_below: int | None = None,
        on_trouble: OnSnapshotTrouble | None = None,
    ) -> Snapshot | None:
        tenant = current().tenant
        for version in self._versions(stream):
            row = self.rows[tenant, stream, version]
            if row.schema_version != schema_version or (at_or_below is not None and version > at_or_below):
                continue
            try:
                state = unseal(tenant, stream, version, schema_version, row.state)
            except ValueError as error:
                tell(on_trouble, SnapshotTrouble("read", tenant, stream, version, error))
            else:
                return Snapshot(stream, version, schema_version, row.time, state)
        return None

    async def prune(self, stream: str, *, keep: int) -> int:
        old = self._versions(stream)[keep:]
        for version in old:
            del self.rows[current().tenant, stream, version]
        return len(old)

    def _versions(self, stream: str) -> list[int]:
        mine = (current().tenant, stream)
        return sorted((version for *whose, version in self.rows if tuple(whose) == mine), reverse=True)


GenerationKey = tuple[str, int]
ParkedKey = tuple[str, int, str, str]


@dataclass(slots=True)
class StagedCheckpoints:
    """What a transaction will make of them; None deletes."""

    rows: dict[GenerationKey, Checkpoint | None] = field(default_factory=dict)
    parked: dict[ParkedKey, Parked | None] = field(default_factory=dict)


class Staging(Protocol):
    """A transaction of the memory store, as far as it matters here."""

    @property
    def checkpoints(self) -> StagedCheckpoints: ...


class MemoryCheckpoints:
    """`Checkpoints[MemoryTransaction]`. The store's writers take turns, so whoever has a transaction holds them all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[GenerationKey, Checkpoint] = {}
        self._parked: dict[ParkedKey, Parked] = {}

    async def generations(self, projection: str) -> list[Checkpoint]:
        return sorted((row for row in self._rows.values() if row.projection == projection), key=_number)

    async def locked(self, transaction: Staging, projection: str) -> list[Checkpoint]:
        rows = {**self._rows, **transaction.checkpoints.rows}.values()
        return sorted((row for row in rows if row is not None and row.projection == projection), key=_number)

    async def begin(self, transaction: Staging, projection: str, generation: int, stage: Stage, logic: int) -> bool:
        if self._row(transaction, projection, generation) is not None:
            return False
        row = Checkpoint(projection, generation, stage, 0, logic, self._clock.now())
        transaction.checkpoints.rows[projection, generation] = row
        return True

    async def advance(self, transaction: Staging, checkpoint: Checkpoint, position: int) -> bool:
        row = self._row(transaction, checkpoint.projection, checkpoint.generation)
        if row is None or (row.position, row.stage) != (checkpoint.position, checkpoint.stage):
            return False
        self._stage(transaction, replace(row, position=position))
        return True

    async def turn(self, transaction: Staging, checkpoint: Checkpoint, stage: Stage) -> bool:
        row = self._row(transaction, checkpoint.projection, checkpoint.generation)
        if row is None or row.stage is not checkpoint.stage:
            return False
        self._stage(transaction, replace(row, stage=stage))
        return True

    async def forget(self, transaction: Staging, projection: str, generation: int) -> None:
        transaction.checkpoints.rows[projection, generation] = None
        for key in self._parked:
            if key[:2] == (projection, generation):
                transaction.checkpoints.parked[key] = None

    async def park(self, transaction: Staging, parked: Parked) -> None:
        key = (parked.projection, parked.generation, parked.tenant, parked.stream)
        if key not in self._parked:
            transaction.checkpoints.parked.setdefault(key, parked)

    async def parked(self, projection: str, generation: int) -> list[Parked]:
        found = [each for key, each in self._parked.items() if key[:2] == (projection, generation)]
        return sorted(found, key=lambda each: each.position)

    def commit(self, staged: StagedCheckpoints) -> None:
        rows, parked = {**self._rows, **staged.rows}, {**self._parked, **staged.parked}
        self._rows = {key: row for key, row in rows.items() if row is not None}
        self._parked = {key: each for key, each in parked.items() if each is not None}

    def _row(self, transaction: Staging, projection: str, generation: int) -> Checkpoint | None:
        key = (projection, generation)
        return transaction.checkpoints.rows.get(key, self._rows.get(key))

    def _stage(self, transaction: Staging, row: Checkpoint) -> None:
        transaction.checkpoints.rows[row.projection, row.generation] = replace(row, updated_at=self._clock.now())


def _number(row: Checkpoint) -> int:
    return row.generation
