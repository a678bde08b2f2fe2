"""A rebuild goes on beside live traffic, and what it makes is what was there."""

import asyncio
from typing import Any

import pytest

from cortex_core.eventsourcing import Projector, RebuildInProgress, Stage
from cortex_core.kernel.errors import Kind
from cortex_core.testing.contracts.eventstore.projections import (
    CannotBe,
    caught_up,
    die,
    fill,
    folded,
    run,
    work_off,
)
from cortex_core.testing.contracts.eventstore.tally import Tally
from cortex_core.testing.contracts.eventstore.terms import Store, placed
from cortex_core.testing.fake_clock import FakeClock
from cortex_core.testing.waiting import eventually


async def stages(store: Store) -> list[tuple[int, str]]:
    return [(each.generation, each.stage.value) for each in await store.checkpoints.generations("tally")]


class RebuildsContract:
    """See the module."""

    async def test_a_rebuild_makes_the_same_again_and_clears_the_old_away(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=10, each=2)
        projector = Projector(store, tally, clock=clock, batch=6)
        await work_off(projector)

        assert await projector.rebuild() == 2
        assert await stages(store) == [(1, "live"), (2, "building")]
        await work_off(projector)

        assert await stages(store) == [(2, "live")]
        assert await tally.rows(2) == await folded(store)
        assert await tally.rows(1) == {}

    async def test_the_live_one_goes_on_meanwhile(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await fill(store, streams=9)
        projector = Projector(store, tally, clock=clock, batch=3)
        await work_off(projector)
        await projector.rebuild()

        await projector.step()
        await store.append("late", [placed(50)], expected_version=0)
        await projector.step()

        assert await stages(store) == [(1, "live"), (2, "building")]
        assert (await tally.rows(1))["public/late"] == [50]
        assert len(await tally.rows(2)) == 6
        await work_off(projector)
        assert await tally.rows(2) == await folded(store)

    async def test_rebuilt_under_traffic_it_equals_the_live_one(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        """2,000 events, a quarter of them while the rebuild runs in two replicas."""
        for stream in range(150):
            await store.append(f"s{stream}", [placed(n) for n in range(10)], expected_version=0)
        replicas = [Projector(store, tally, clock=clock, batch=100) for _ in range(2)]
        at_begin = await store.head()

        async with run(replicas[0]), run(replicas[1]):
            assert await caught_up(replicas[0], clock)
            await replicas[0].rebuild()
            for stream in range(50):
                await store.append(f"t{stream}", [placed(n) for n in range(10)], expected_version=0)
            await eventually(lambda: self._switched(store), within=60)
            assert await caught_up(replicas[1], clock)

        assert await store.head() > at_begin
        assert await tally.rows(2) == await folded(store)
        assert sum(map(len, (await tally.rows(2)).values())) == 2_000

    async def test_readers_never_see_less_than_before(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        await fill(store, streams=20)
        projector = Projector(store, tally, clock=clock, batch=4)
        await work_off(projector)
        await projector.rebuild()

        shown, more = [], True
        while more:
            more = await projector.step()
            [live] = [each for each in await store.checkpoints.generations("tally") if each.stage is Stage.LIVE]
            shown.append(live.generation)
            assert len(await tally.rows(live.generation)) == 20

        assert sorted(set(shown)) == [1, 2]

    @pytest.mark.parametrize(("ahead", "switched"), [(2, True), (3, True), (4, False)])
    async def test_the_last_stretch_is_taken_within_the_switch(
        self, store: Store, tally: Tally, clock: FakeClock, ahead: int, switched: bool
    ) -> None:
        """The live one runs ahead between the two: without that stretch a busy store would be chased for ever. What is
        more than a batch is caught up with first."""
        await fill(store, streams=2)
        here, there = Projector(store, tally, clock=clock, batch=3), Projector(store, tally, clock=clock)
        await work_off(here)
        await here.rebuild()
        apply = here._applier.apply_next
        ran_ahead: list[Any] = []

        async def apply_then_others_run_ahead(row: Any) -> Any:
            applied = await apply(row)
            if row.stage is Stage.BUILDING and not ran_ahead:
                await store.append("late", [placed(n) for n in range(ahead)], expected_version=0)
                live = (await store.checkpoints.generations("tally"))[0]
                ran_ahead.append(await there._applier.apply_next(live))
            return applied

        here._applier.apply_next = apply_then_others_run_ahead  # type: ignore[method-assign, assignment]
        await here.step()

        assert ran_ahead
        assert await stages(store) == [(1, "retired" if switched else "live"), (2, "live" if switched else "building")]
        await work_off(here)
        assert await stages(store) == [(2, "live")]
        assert await tally.rows(2) == await folded(store)

    async def test_two_rebuilds_at_once_are_refused(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        here, there = Projector(store, tally, clock=clock), Projector(store, tally, clock=clock)
        await work_off(here)

        outcomes = await asyncio.gather(here.rebuild(), there.rebuild(), return_exceptions=True)
        with pytest.raises(RebuildInProgress) as caught:
            await here.rebuild()

        assert sorted(map(type, outcomes), key=str) == [RebuildInProgress, int]
        assert caught.value.details == {"projection": "tally", "generation": 2}
        assert (caught.value.code, caught.value.kind) == ("projection.rebuild-in-progress", Kind.CONFLICT)
        assert await stages(store) == [(1, "live"), (2, "building")]

    async def test_a_rebuild_that_is_abandoned_leaves_the_live_one(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=8)
        projector = Projector(store, tally, clock=clock, batch=2)
        await work_off(projector)
        await projector.rebuild()
        await projector.step()

        assert await projector.abandon() == 2
        assert await projector.abandon() is None
        await work_off(projector)

        assert await stages(store) == [(1, "live")]
        assert await tally.rows(2) == {}
        assert await projector.rebuild() == 2
        await work_off(projector)
        assert await tally.rows(2) == await folded(store)

    async def test_newer_logic_builds_a_generation_of_its_own(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=3)
        await work_off(Projector(store, tally, clock=clock))
        tally.version = 2

        await work_off(Projector(store, tally, clock=clock))

        [live] = await store.checkpoints.generations("tally")
        assert (live.generation, live.stage, live.logic) == (2, Stage.LIVE, 2)
        assert await tally.rows(2) == await folded(store)

    async def test_newer_logic_replaces_a_rebuild_of_older_logic(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=3)
        old = Projector(store, tally, clock=clock)
        await work_off(old)
        await old.rebuild()
        tally.version = 2

        await work_off(Projector(store, tally, clock=clock))

        [live] = await store.checkpoints.generations("tally")
        assert (live.generation, live.logic) == (3, 2)
        assert await tally.rows(2) == {}

    async def test_older_logic_leaves_the_newer_generation_alone(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        tally.version = 2
        await fill(store, streams=1)
        await work_off(Projector(store, tally, clock=clock))
        await store.append("late", [placed(9)], expected_version=0)
        tally.version = 1

        await work_off(Projector(store, tally, clock=clock))

        assert await stages(store) == [(1, "live")]
        assert await tally.rows(1) == {"public/s0": [0]}

    async def test_a_rebuild_overtakes_a_live_one_that_is_stuck(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=4)
        tally.faults[2] = CannotBe("two")
        projector = Projector(store, tally, clock=clock, on_trouble=lambda _: None)
        await work_off(projector)
        tally.faults.clear()  # the logic was mended; the live one still waits

        await projector.rebuild()
        await work_off(projector)

        assert await stages(store) == [(2, "live")]
        assert await tally.rows(2) == await folded(store)

    async def test_a_rebuild_that_fails_costs_the_live_one_nothing(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=4)
        projector = Projector(store, tally, clock=clock, on_trouble=lambda _: None)
        await work_off(projector)
        tally.faults[2] = CannotBe("two")
        await projector.rebuild()
        await work_off(projector)

        await store.append("late", [placed(50)], expected_version=0)
        await work_off(projector)

        assert await stages(store) == [(1, "live"), (2, "building")]
        assert await tally.rows(1) == await folded(store)

    async def test_a_rebuild_gives_a_parked_stream_another_chance(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=3)
        tally.faults[1] = CannotBe("one")
        projector = Projector(store, tally, clock=clock, poison="park", on_trouble=lambda _: None)
        await work_off(projector)
        tally.faults.clear()

        await projector.rebuild()
        await work_off(projector)

        assert await tally.rows(2) == await folded(store)
        assert await store.checkpoints.parked("tally", 2) == []

    async def test_a_crash_in_the_middle_of_a_rebuild_is_gone_on_from(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await fill(store, streams=12)
        await work_off(Projector(store, tally, clock=clock))
        await Projector(store, tally, clock=clock).rebuild()

        interrupted = 0
        for turns in range(0, 120, 6):  # each one another process that dies at another moment
            interrupted += await die(Projector(store, tally, clock=clock, batch=2).step(), turns, store)
        await work_off(Projector(store, tally, clock=clock, batch=2))

        assert interrupted > 0
        assert await stages(store) == [(2, "live")]
        assert await tally.rows(2) == await folded(store)
        assert await tally.rows(1) == {}

    @staticmethod
    async def _switched(store: Store) -> bool:
        return await stages(store) == [(2, "live")]
