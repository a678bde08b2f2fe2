"""Checkpoints as tables. The compare-and-set is an UPDATE that names where the row must be: in PostgreSQL a second
mover waits for the first one's row lock and then finds the row elsewhere, in SQLite writers take turns anyway."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Exists, ScalarSelect, Select, bindparam, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing.checkpoints import Checkpoint, Parked, Stage
from cortex_core.eventsourcing.sql import schema
from cortex_core.eventsourcing.sql.engines import Engines
from cortex_core.eventsourcing.sql.faults import translated
from cortex_core.kernel.clock import Clock

_rows: Final = schema.checkpoints.c
_parked: Final = schema.parked.c

# The one upsert both databases write alike.
_BEGIN: Final = text(
    "INSERT INTO checkpoints (projection, generation, stage, position, logic, updated_at)"
    " VALUES (:projection, :generation, :stage, 0, :logic, :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=schema.Timestamp()))
_PARK: Final = text(
    "INSERT INTO parked (projection, generation, tenant, stream, position, code, reason, time)"
    " VALUES (:projection, :generation, :tenant, :stream, :position, :code, :reason, :time) ON CONFLICT DO NOTHING"
).bindparams(bindparam("time", type_=schema.Timestamp()))


def live_generation(projection: str) -> ScalarSelect[int]:
    """Which generation a query is to read, as a part of that query: so that it sees one switch or the other, whole."""
    live = (_rows.projection == projection, _rows.stage == Stage.LIVE.value)
    return select(_rows.generation).where(*live).scalar_subquery()


def is_parked(
    projection: str, generation: ColumnElement[int], tenant: ColumnElement[str], stream: ColumnElement[str]
) -> Exists:
    """Whether the stream that a row of a projection is of was set aside, as a part of the query that reads the row:
    what the row says is then as old as the fault."""
    parked = (_parked.projection == projection, _parked.generation == generation)
    return select(_parked.stream).where(*parked, _parked.tenant == tenant, _parked.stream == stream).exists()


class SqlCheckpoints:
    """`Checkpoints[AsyncConnection]` over the tables."""

    def __init__(self, engines: Engines, clock: Clock) -> None:
        self._engines = engines
        self._clock = clock

    async def generations(self, projection: str) -> list[Checkpoint]:
        with translated():
            async with self._engines.single.connect() as connection:
                return await _checkpoints(connection, _of(projection))

    async def locked(self, transaction: AsyncConnection, projection: str) -> list[Checkpoint]:
        return await _checkpoints(transaction, _of(projection).with_for_update())

    async def begin(
        self, transaction: AsyncConnection, projection: str, generation: int, stage: Stage, logic: int
    ) -> bool:
        row = {"projection": projection, "generation": generation, "stage": stage.value, "logic": logic}
        return (await transaction.execute(_BEGIN, {**row, "now": self._clock.now()})).rowcount == 1

    async def advance(self, transaction: AsyncConnection, checkpoint: Checkpoint, position: int) -> bool:
        unmoved = (*_same(checkpoint), _rows.position == checkpoint.position)
        move = update(schema.checkpoints).where(*unmoved).values(position=position, updated_at=self._clock.now())
        return (await transaction.execute(move)).rowcount == 1

    async def turn(self, transaction: AsyncConnection, checkpoint: Checkpoint, stage: Stage) -> bool:
        turn = update(schema.checkpoints).where(*_same(checkpoint))
        turned = await transaction.execute(turn.values(stage=stage.value, updated_at=self._clock.now()))
        return turned.rowcount == 1

    async def forget(self, transaction: AsyncConnection, projection: str, generation: int) -> None:
        for table in (schema.parked, schema.checkpoints):
            gone = (table.c.projection == projection, table.c.generation == generation)
            await transaction.execute(delete(table).where(*gone))

    async def park(self, transaction: AsyncConnection, parked: Parked) -> None:
        columns = ("projection", "generation", "tenant", "stream", "position", "code", "reason", "time")
        await transaction.execute(_PARK, {name: getattr(parked, name) for name in columns})

    async def parked(self, projection: str, generation: int) -> list[Parked]:
        query = select(schema.parked).where(_parked.projection == projection, _parked.generation == generation)
        with translated():
            async with self._engines.single.connect() as connection:
                found = await connection.execute(query.order_by(_parked.position))
                return [Parked(**row._mapping) for row in found]


def _of(projection: str) -> Select[Any]:
    columns = (_rows.projection, _rows.generation, _rows.stage, _rows.position, _rows.logic, _rows.updated_at)
    return select(*columns).where(_rows.projection == projection).order_by(_rows.generation)


def _same(checkpoint: Checkpoint) -> tuple[Any, ...]:
    return (
        _rows.projection == checkpoint.projection,
        _rows.generation == checkpoint.generation,
        _rows.stage == checkpoint.stage.value,
    )


async def _checkpoints(connection: AsyncConnection, query: Select[Any]) -> list[Checkpoint]:
    rows = (await connection.execute(query)).all()
    return [Checkpoint(name, number, Stage(stage), at, logic, when) for name, number, stage, at, logic, when in rows]
