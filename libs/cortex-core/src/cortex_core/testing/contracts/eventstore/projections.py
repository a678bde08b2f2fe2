"""A projection is the fold of all events, each once, whoever runs it and whatever fails in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cortex_core.eventsourcing import NewEvent, Progress, Projector, Stage
from cortex_core.kernel.context import use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.testing.contracts.eventstore.tally import Rows, Tally
from cortex_core.testing.contracts.eventstore.terms import Store, placed
from cortex_core.testing.fake_clock import FakeClock
from cortex_core.testing.waiting import eventually


class CannotBe(CortexError):
    code, kind = "tally.cannot-be", Kind.UNPROCESSABLE


@asynccontextmanager
async def run(projector: Projector[Any]) -> AsyncIterator[None]:
    """As a task, for the length of the block."""
    task = asyncio.create_task(projector.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def caught_up(projector: Projector[Any], clock: FakeClock) -> bool:
    """`projector.caught_up`, with a clock that goes on: who does not lead asks by it how far the leader has come."""
    waiting = asyncio.create_task(projector.caught_up(within=600))
    while not waiting.done():
        await clock.advance(0.05)
        await asyncio.wait([waiting], timeout=0.01)
    return waiting.result()


async def work_off(projector: Projector[Any]) -> None:
    """Rounds, until there is nothing more to do."""
    while await projector.step():
        pass


async def die(work: Coroutine[Any, Any, Any], turns: int, store: Store) -> bool:
    """Begins `work` and cancels it after so many turns of the loop; whether it was still at it. Then the store opens
    what that has closed, in peace: a driver that is cancelled while it connects leaks (aiosqlite)."""
    dying = asyncio.create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    interrupted = not dying.done()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await store.head()
    async with store.transaction():
        pass
    return interrupted


async def folded(store: Store) -> Rows:
    """What the tally must say."""
    rows: Rows = {}
    for event in await store.read_all(limit=100_000):
        rows.setdefault(f"{event.tenant}/{event.stream}", []).append(event.data["number"])
    return rows


async def fill(store: Store, streams: int, each: int = 1) -> None:
    for stream in range(streams):
        first = stream * each
        events = [placed(number) for number in range(first, first + each)]
        await store.append(f"s{stream}", events, expected_version=0)


class ProjectionsContract:
    """See the module."""

    async def test_a_projection_shows_what_was_appended(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await store.append("a", [placed(1), placed(2)], expected_version=0)
        with use_context(tenant="acme"):
            await store.append("a", [placed(3)], expected_version=0)
        await store.append("a", [placed(4)], expected_version=2)

        await work_off(Projector(store, tally, clock=clock))

        assert await tally.rows(1) == {"public/a": [1, 2, 4], "acme/a": [3]}

    async def test_a_batch_is_not_all_there_is(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await fill(store, streams=4, each=4)

        await work_off(Projector(store, tally, clock=clock, batch=3))

        assert await tally.rows(1) == await folded(store)

    async def test_other_types_only_move_the_checkpoint(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await store.append("a", [placed(1), NewEvent("order.renamed", {"number": 2})], expected_version=0)

        await work_off(Projector(store, tally, clock=clock))

        [row] = await store.checkpoints.generations("tally")
        assert row.position == await store.head()
        assert await tally.rows(1) == {"public/a": [1]}

    async def test_who_handles_whatever_comes_is_given_every_type(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        tally.handles = None
        await store.append("a", [placed(1), NewEvent("order.renamed", {"number": 2})], expected_version=0)

        await work_off(Projector(store, tally, clock=clock))

        assert await tally.rows(1) == {"public/a": [1, 2]}

    async def test_an_append_through_this_store_wakes_the_projector(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        projector = Projector(store, tally, clock=clock)
        async with run(projector):
            for number in range(3):
                await store.append("a", [placed(number)], expected_version=number)

                assert await projector.caught_up(within=1)
                assert await tally.rows(1) == {"public/a": list(range(number + 1))}

    async def test_others_appends_are_found_within_the_interval(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        projector = Projector(store, tally, clock=clock, interval=0.5)
        async with run(projector):
            await eventually(lambda: clock.sleepers)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(projector, "wake", lambda: None)
                patched.setattr(store, "_watchers", [])  # an append that this process does not hear of
                await store.append("a", [placed(1)], expected_version=0)
            await clock.advance(0.5)

            await eventually(lambda: tally.rows(1))

    async def test_who_waits_for_a_projection_nobody_runs_is_told(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await store.append("a", [placed(1)], expected_version=0)

        waiting = asyncio.create_task(Projector(store, tally, clock=clock).caught_up(within=1))
        for _ in range(25):
            await eventually(lambda: clock.sleepers or waiting.done())
            await clock.advance(0.05)

        assert await asyncio.wait_for(waiting, 1) is False

    async def test_it_may_be_another_replica_that_catches_up(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await store.append("a", [placed(1)], expected_version=0)
        here, there = Projector(store, tally, clock=clock), Projector(store, tally, clock=clock)
        waiting = asyncio.create_task(here.caught_up(within=1))
        await eventually(lambda: clock.sleepers)

        await work_off(there)
        await clock.advance(0.05)

        assert await asyncio.wait_for(waiting, 1)

    async def test_a_position_can_be_waited_for(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await fill(store, streams=2)
        projector = Projector(store, tally, clock=clock)
        await work_off(projector)

        assert await projector.caught_up(await store.head(), within=0)
        assert not await projector.caught_up(await store.head() + 1, within=0)

    async def test_of_several_replicas_each_event_has_one_effect(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        replicas = [Projector(store, tally, clock=clock, batch=5) for _ in range(4)]
        async with contextlib.AsyncExitStack() as stack:
            for replica in replicas:
                await stack.enter_async_context(run(replica))
            await asyncio.gather(*(store.append(f"s{n}", [placed(n)] * 1, expected_version=0) for n in range(60)))
            for replica in replicas:
                assert await caught_up(replica, clock)

        assert await tally.rows(1) == await folded(store)

    async def test_a_round_that_is_interrupted_leaves_nothing_and_is_done_again(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        interrupted = 0
        await fill(store, streams=6)
        await store.head()
        for turns in range(0, 40, 4):
            interrupted += await die(Projector(store, tally, clock=clock, batch=2).step(), turns, store)

        await work_off(Projector(store, tally, clock=clock, batch=2))

        assert interrupted > 0
        assert await tally.rows(1) == await folded(store)

    async def test_its_status_says_how_far_behind_it_is(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await fill(store, streams=2)
        projector = Projector(store, tally, clock=clock)
        await work_off(projector)
        assert ((await projector.status()).lag, (await projector.status()).behind) == (0, 0.0)

        await clock.advance(2)
        await store.append("a", [placed(7)], expected_version=0)
        await clock.advance(3)
        await store.append("b", [placed(8)], expected_version=0)
        status = await projector.status()

        assert (status.lag, status.behind, status.head) == (2, 3.0, await store.head())
        assert status.live is not None
        assert (status.live.generation, status.live.stage) == (1, Stage.LIVE)

    async def test_its_progress_is_told_round_by_round(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        seen: list[Progress] = []
        await fill(store, streams=3)
        await clock.advance(4)
        projector = Projector(store, tally, clock=clock, batch=2, on_progress=seen.append)

        await work_off(projector)
        tally.faults[9] = CannotBe("nine")
        await store.append("a", [placed(9)], expected_version=0)
        await clock.advance(1)
        await work_off(projector)

        told = [(each.events, each.lag, each.behind) for each in seen]
        assert told == [(2, 1, 4.0), (1, 0, 0.0), (0, 1, 1.0), (0, 1, 1.0)]
