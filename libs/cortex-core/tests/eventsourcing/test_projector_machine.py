"""Any interleaving of appends, rounds of two replicas, crashes, rebuilds and abandoned rebuilds gives the fold of all
events, and nothing twice. Checked by drawing interleavings; what fired is counted, and must have."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cortex_core.eventsourcing import (
    MemoryEventStore,
    MemoryTransaction,
    Projector,
    RebuildInProgress,
    RecordedEvent,
    Stage,
)
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.eventstore.projections import die, folded, work_off
from cortex_core.testing.contracts.eventstore.tally import MemoryTally
from cortex_core.testing.contracts.eventstore.tally_sql import SqlTally
from cortex_core.testing.contracts.eventstore.terms import placed

APPEND = st.tuples(st.just("append"), st.integers(0, 3))
STEP = st.tuples(st.just("step"), st.integers(0, 1))
RACE = st.tuples(st.just("race"), st.just(0))
CRASH = st.tuples(st.just("crash"), st.integers(0, 30))
REBUILD = st.tuples(st.just("rebuild"), st.integers(0, 1))
ABANDON = st.tuples(st.just("abandon"), st.integers(0, 1))
PAUSE = st.tuples(st.just("pause"), st.just(0))
RESUME = st.tuples(st.just("resume"), st.just(0))
ACTIONS = st.lists(
    st.one_of(APPEND, APPEND, STEP, STEP, RACE, CRASH, REBUILD, ABANDON, PAUSE, RESUME), min_size=1, max_size=40
)

NUMBER_GIVEN_AGAIN = [  # by the time that who was paused clears away what he had found retired
    *(("append", stream) for stream in range(4)),
    *[("step", 0)] * 5,
    ("rebuild", 0),
    ("abandon", 0),
    ("pause", 0),
    ("step", 0),
    ("rebuild", 0),
    *[("step", 0)] * 3,
    ("resume", 0),
]


class HesitantStore(MemoryEventStore):
    """Lets others in between reading and writing, as a database does."""

    async def read_all(self, *, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        events = await super().read_all(after=after, limit=limit)
        await asyncio.sleep(0)
        return events


class HesitantTally(MemoryTally):
    async def apply(self, transaction: MemoryTransaction, generation: int, events: Any) -> None:
        await asyncio.sleep(0)
        await super().apply(transaction, generation, events)
        await asyncio.sleep(0)


class Interleaving:
    """Two replicas, each with a store object of its own or one in common."""

    def __init__(self, stores: list[Any], tallies: list[Any], batch: int, fired: Counter[str]) -> None:
        self.stores, self.store, self.tally, self.fired = stores, stores[0], tallies[0], fired
        clock = FakeClock()
        self.replicas = [
            Projector(store, tally, clock=clock, batch=batch) for store, tally in zip(stores, tallies, strict=True)
        ]
        self.paused = Projector(stores[0], tallies[0], clock=clock, batch=batch)  # one more, for `pause` and `resume`
        self.round: asyncio.Task[bool] | None = None
        self.go_on = asyncio.Event()
        self.shown = False
        self.versions: Counter[int] = Counter()
        for each in stores:
            self._count_refusals(each)
        self._let_pause(stores[0].checkpoints)

    def _count_refusals(self, store: Any) -> None:
        advance = store.checkpoints.advance

        async def counted(*arguments: Any) -> bool:
            moved: bool = await advance(*arguments)
            self.fired["overtaken"] += not moved
            return moved

        store.checkpoints.advance = counted

    def _let_pause(self, checkpoints: Any) -> None:
        """The paused one's round reads what there is, and waits before it acts upon it."""
        generations = checkpoints.generations

        async def pausing(projection: str) -> Any:
            rows = await generations(projection)
            if asyncio.current_task() is self.round:
                await self.go_on.wait()
                self.fired["paused before retired"] += any(each.stage is Stage.RETIRED for each in rows)
            return rows

        checkpoints.generations = pausing

    async def do(self, action: str, argument: int) -> None:
        shown = self.shown
        await getattr(self, action)(argument)
        self.shown = any(each.stage is Stage.LIVE for each in await self.store.checkpoints.generations("tally"))
        assert self.shown or not shown, "nothing is shown any more"

    async def append(self, stream: int) -> None:
        number = self.versions.total()
        await self.store.append(f"s{stream}", [placed(number)], expected_version=self.versions[stream])
        self.versions[stream] += 1

    async def step(self, replica: int) -> None:
        await self.replicas[replica].step()

    async def race(self, _: int) -> None:
        await asyncio.gather(*(each.step() for each in self.replicas))

    async def crash(self, turns: int) -> None:
        replica = turns % 2
        self.fired["crash"] += await die(self.replicas[replica].step(), turns, self.stores[replica % len(self.stores)])

    async def rebuild(self, replica: int) -> None:
        with suppress(RebuildInProgress):
            await self.replicas[replica].rebuild()
            self.fired["rebuild"] += 1

    async def abandon(self, replica: int) -> None:
        self.fired["abandon"] += await self.replicas[replica].abandon() is not None

    async def pause(self, _: int) -> None:
        if self.round is None:
            self.go_on.clear()
            self.round = asyncio.create_task(self.paused.step())
            await asyncio.sleep(0)

    async def resume(self, _: int) -> None:
        if self.round is not None:
            self.go_on.set()
            await self.round
            self.round = None

    async def check(self) -> None:
        await self.resume(0)
        await asyncio.gather(*map(work_off, self.replicas))
        await work_off(self.replicas[0])
        [live] = await self.store.checkpoints.generations("tally")
        self.fired["switched"] += live.generation > 1
        assert live.position == await self.store.head()
        assert await self.tally.rows(live.generation) == await folded(self.store)
        for generation in range(1, live.generation):
            assert await self.tally.rows(generation) == {}


async def test_any_interleaving_gives_the_fold_of_all_events_in_memory() -> None:
    fired: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None)
    @given(actions=ACTIONS, batch=st.integers(1, 4))
    @example(actions=NUMBER_GIVEN_AGAIN, batch=2)
    def interleave(actions: list[tuple[str, int]], batch: int) -> None:
        async def play() -> None:
            store, tally = HesitantStore(), HesitantTally()
            interleaving = Interleaving([store], [tally], batch, fired)
            interleaving.replicas.append(Projector(store, tally, clock=FakeClock(), batch=batch))
            for action, argument in actions:
                await interleaving.do(action, argument)
            await interleaving.check()

        asyncio.run(play())

    await asyncio.to_thread(interleave)

    assert (
        min(fired[each] for each in ("overtaken", "crash", "rebuild", "abandon", "switched", "paused before retired"))
        > 0
    ), fired


async def test_any_interleaving_gives_the_fold_of_all_events_in_sqlite(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    fired: Counter[str] = Counter()

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(actions=ACTIONS, batch=st.integers(1, 4))
    @example(actions=NUMBER_GIVEN_AGAIN, batch=2)
    def interleave(actions: list[tuple[str, int]], batch: int) -> None:
        asyncio.run(_play_in_sqlite(tmp_path_factory.mktemp("machine"), actions, batch, fired))

    await asyncio.to_thread(interleave)

    assert fired["overtaken"] + fired["crash"] > 0, fired


async def _play_in_sqlite(folder: Path, actions: list[tuple[str, int]], batch: int, fired: Counter[str]) -> None:
    url = f"sqlite+aiosqlite:///{folder}/store.db"
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_event_store(url)) for _ in range(2)]
        await stores[1].head()  # connected before anything can crash
        interleaving = Interleaving(stores, [await SqlTally.create(stores[0]), SqlTally(stores[1])], batch, fired)
        for action, argument in actions:
            await interleaving.do(action, argument)
        await interleaving.check()
