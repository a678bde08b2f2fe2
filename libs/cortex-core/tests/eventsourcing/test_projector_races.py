"""Two processes apply the same events: one is undone; and without the compare-and-set they count twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    Projector,
    RecordedEvent,
)
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.eventstore.projections import work_off
from cortex_core.testing.contracts.eventstore.tally_sql import SqlTally
from cortex_core.testing.contracts.eventstore.terms import placed


@pytest.fixture
async def two_processes(database_url: str, clock: FakeClock) -> AsyncIterator[list[SqlEventStore]]:
    """Two stores over one file: what one appends the other does not hear of."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_event_store(database_url, clock=clock)) for _ in range(2)]


async def race(stores: list[SqlEventStore], clock: FakeClock, *, guarded: bool) -> tuple[int, list[int]]:
    """Two projectors that have read the same events before either applies them. How often one was refused, and what
    the projection holds in the end. Not `guarded`: the checkpoint moves wherever it is."""
    tallies = [await SqlTally.create(stores[0]), SqlTally(stores[1])]
    await work_off(Projector(stores[0], tallies[0], clock=clock))
    await stores[0].append("a", [placed(1), placed(2)], expected_version=0)
    both_have_read, refused = asyncio.Barrier(2), 0

    def rig(store: SqlEventStore) -> None:
        read_all, advance = store.read_all, store.checkpoints.advance

        async def read_together(*, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
            events = await read_all(after=after, limit=limit)
            await both_have_read.wait()
            return events

        async def advance_or_not(transaction: Any, checkpoint: Any, position: int) -> bool:
            nonlocal refused
            moved = await advance(transaction, checkpoint, position)
            refused += not moved
            return moved or not guarded

        store.read_all = read_together  # type: ignore[method-assign]
        store.checkpoints.advance = advance_or_not  # type: ignore[method-assign]

    for store in stores:
        rig(store)
    await asyncio.gather(
        *(Projector(store, tally, clock=clock).step() for store, tally in zip(stores, tallies, strict=True))
    )
    return refused, (await tallies[0].rows(1))["public/a"]


async def test_of_two_that_apply_the_same_events_one_is_undone(
    two_processes: list[SqlEventStore], clock: FakeClock
) -> None:
    assert await race(two_processes, clock, guarded=True) == (1, [1, 2])


async def test_without_the_compare_and_set_two_projectors_double_count(
    two_processes: list[SqlEventStore], clock: FakeClock
) -> None:
    assert await race(two_processes, clock, guarded=False) == (1, [1, 2, 1, 2])
