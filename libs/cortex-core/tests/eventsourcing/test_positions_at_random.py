"""Positions in random order and under load: whatever comes, every reader sees every event once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cortex_core.eventsourcing import DuplicateId, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store, schema

_INSERT = text(
    "INSERT INTO events (tenant, stream, version, id, type, schema_version, time, data, metadata)"
    " VALUES ('public', :name, 1, :name, 'ticked', 1, now(), '{}', '{}') RETURNING position"
)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(postgres_url) as store:
        yield store


@pytest.fixture
async def others(postgres_url: str, store: SqlEventStore) -> AsyncIterator[AsyncEngine]:
    """Connections of other processes."""
    engine = create_async_engine(postgres_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_order_every_reader_sees_every_event_once(
    store: SqlEventStore, others: AsyncEngine, seed: int
) -> None:
    """Writers begin, write, commit and undo in random order on connections of their own; readers page along."""
    chance = random.Random(seed)
    log: list[str] = []
    readers: list[list[int]] = [[], []]
    naive: list[int] = []
    written: set[int] = set()

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(others.connect()) for _ in range(5)]
        drawn: dict[int, list[int]] = {index: [] for index in range(5)}
        for step in range(120):
            index = chance.randrange(5)
            action = chance.choice(["write", "write", "commit", "undo", "read", "read"])
            if action == "write":
                row = await connections[index].execute(_INSERT, {"name": f"{seed}-{step}"})
                drawn[index].append(row.scalar_one())
            elif action == "commit":
                await connections[index].commit()
                written |= set(drawn.pop(index))
                drawn[index] = []
            elif action == "undo":
                await connections[index].rollback()
                drawn[index] = []
            else:
                await _read_on(store, chance.choice(readers), chance.randrange(1, 8))
                await _naively(others, naive)
            log.append(f"{action} {index}")
        for connection in connections:
            await connection.rollback()

    for reader in readers:
        while await _read_on(store, reader, 7):
            pass
        assert reader == sorted(written), log
    await _naively(others, naive)
    assert naive != sorted(written), "the control: without the wait this order skips nothing, so it proves nothing"


async def _read_on(store: SqlEventStore, seen: list[int], limit: int) -> bool:
    page = [each.position for each in await store.read_all(after=seen[-1] if seen else 0, limit=limit)]
    seen += page
    return bool(page)


async def _naively(others: AsyncEngine, seen: list[int]) -> None:
    query = select(schema.events.c.position).where(schema.events.c.position > (seen[-1] if seen else 0))
    async with others.connect() as connection:
        seen += (await connection.execute(query.order_by("position"))).scalars().all()


async def test_under_load_nothing_is_skipped_and_the_end_is_reached(postgres_url: str) -> None:
    """Appends of several stores, of which some are refused and leave gaps, and a reader beside them."""
    async with open_event_store(postgres_url) as reader, AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_event_store(postgres_url)) for _ in range(3)]
        seen: list[int] = []
        done = asyncio.Event()

        async def read_along() -> None:
            while await _read_on(reader, seen, 50) or not done.is_set():
                pass

        async def append(number: int) -> None:
            event = NewEvent("ticked", {}, id=f"evt_{number if number % 2 else number % 40}")
            await stores[number % 3].append(f"s{number}", [event], expected_version=0)

        following = asyncio.create_task(read_along())
        outcomes = []
        for begin in range(0, 120, 12):
            together = (append(number) for number in range(begin, begin + 12))
            outcomes += await asyncio.gather(*together, return_exceptions=True)
        done.set()
        await asyncio.wait_for(following, 30)

        async with reader.reading() as connection:
            stored = (await connection.execute(text("SELECT position FROM events ORDER BY position"))).scalars().all()
        assert seen == list(stored) and len(stored) == 80
        assert sum(isinstance(each, DuplicateId) for each in outcomes) == 40
        assert stored[-1] > 80, "no gap came about"
