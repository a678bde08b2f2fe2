"""Two replicas, one rebuild, and positions that are not settled yet: the switch shows no less than before."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cortex_core.eventsourcing import Checkpoint, Projector, RecordedEvent, Stage
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing.contracts.eventstore.projections import work_off

_INSERT = text(
    "INSERT INTO events (tenant, stream, version, id, type, schema_version, time, data, metadata)"
    " VALUES ('public', :name, 1, :name, 'ticked', 1, now(), '{}', '{}')"
)


class Ticks:
    """Keeps nothing: only the checkpoints matter here."""

    name, version, handles = "ticks", 1, ("ticked",)

    async def begin(self, transaction: AsyncConnection, generation: int) -> None: ...

    async def apply(self, transaction: AsyncConnection, generation: int, events: Sequence[RecordedEvent]) -> None: ...

    async def drop(self, transaction: AsyncConnection, generation: int) -> bool:
        return False


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[list[SqlEventStore]]:
    async with open_event_store(postgres_url) as one, open_event_store(postgres_url) as other:
        yield [one, other]


@pytest.fixture
async def others(postgres_url: str, replicas: list[SqlEventStore]) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(postgres_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def writing(others: AsyncEngine, name: str) -> AsyncIterator[AsyncConnection]:
    """A transaction that has written an event and is still open. The block's end undoes it."""
    async with others.connect() as connection:
        await connection.execute(_INSERT, {"name": name})
        yield connection


async def committed(others: AsyncEngine, *names: str) -> None:
    for name in names:
        async with writing(others, name) as connection:
            await connection.commit()


async def of_stage(store: SqlEventStore, stage: Stage) -> Checkpoint:
    [row] = [each for each in await store.checkpoints.generations("ticks") if each.stage is stage]
    return row


async def test_a_replica_that_cannot_read_as_far_as_the_live_one_is_does_not_switch(
    replicas: list[SqlEventStore], others: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other replica has seen a gap settle that this one must still take for open."""
    here, there = (Projector(each, Ticks()) for each in replicas)
    await committed(others, "first")
    await work_off(there)
    await there.rebuild()
    async with AsyncExitStack() as stack:
        low = await stack.enter_async_context(writing(others, "low"))
        await committed(others, "high")
        switch, before = here._generations.switch, 0

        async def switch_once_the_live_one_ran_ahead(generation: int) -> bool:
            nonlocal before
            async with writing(others, "undone"):
                pass
            await committed(others, "newest")
            await low.commit()
            newest = await replicas[1].head()
            while (live := await of_stage(replicas[1], Stage.LIVE)).position < newest:
                await there._attend(live)
            await stack.enter_async_context(writing(others, "busy"))
            before = newest
            return await switch(generation)

        monkeypatch.setattr(here._generations, "switch", switch_once_the_live_one_ran_ahead)
        await here._attend(await of_stage(replicas[0], Stage.BUILDING))

        assert before, "the fault did not fire"
        assert (await of_stage(replicas[0], Stage.LIVE)).position >= before
    monkeypatch.undo()
    await work_off(here)
    live = await of_stage(replicas[0], Stage.LIVE)
    assert (live.generation, live.position) == (2, before)
