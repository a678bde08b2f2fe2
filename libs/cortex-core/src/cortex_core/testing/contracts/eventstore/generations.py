"""Of two replicas one may act upon what it has seen a while ago: no generation is less for it."""

import pytest

from cortex_core.eventsourcing import Projector, RecordedEvent
from cortex_core.testing.contracts.eventstore.projections import fill, folded, work_off
from cortex_core.testing.contracts.eventstore.rebuilds import stages
from cortex_core.testing.contracts.eventstore.tally import Tally
from cortex_core.testing.contracts.eventstore.terms import Store
from cortex_core.testing.fake_clock import FakeClock


class GenerationsContract:
    """See the module."""

    @pytest.mark.parametrize("rounds", [1, 9], ids=["being built", "live"])
    async def test_who_was_paused_clears_no_generation_that_has_its_number_by_now(
        self, store: Store, tally: Tally, clock: FakeClock, rounds: int
    ) -> None:
        await fill(store, streams=8)
        here = Projector(store, tally, clock=clock, batch=4)
        await work_off(here)
        await here.rebuild()
        await here.abandon()
        _, retired = await store.checkpoints.generations("tally")  # and here another replica is paused
        await work_off(here)
        assert await here.rebuild() == retired.generation
        for _ in range(rounds):
            await here.step()
        before = await stages(store), await tally.rows(2)
        assert before[1]

        assert not await Projector(store, tally, clock=clock)._attend(retired)

        assert (await stages(store), await tally.rows(2)) == before
        await work_off(here)
        assert await stages(store) == [(2, "live")]
        assert await tally.rows(2) == await folded(store)

    async def test_a_read_that_ends_short_of_the_live_one_is_not_all_that_is_lacking(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        """As before a position that is not settled yet (PostgreSQL)."""
        await fill(store, streams=2)
        projector = Projector(store, tally, clock=clock)
        await work_off(projector)
        await projector.rebuild()
        read_all = store.read_all
        with pytest.MonkeyPatch.context() as patched:

            async def read_one(*, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
                return await read_all(after=after, limit=min(limit, 1))

            patched.setattr(store, "read_all", read_one)
            assert not await projector._generations.switch(2)

        assert await stages(store) == [(1, "live"), (2, "building")]
        assert await projector._generations.switch(2)
        assert await tally.rows(2) == await folded(store)
