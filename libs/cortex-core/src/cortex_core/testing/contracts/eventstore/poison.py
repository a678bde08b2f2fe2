"""An event that cannot be applied stops a projection, or its stream is set aside; either way it is told."""

from typing import Any

import pytest

from cortex_core.eventsourcing import CorruptEvent, Progress, ProjectionTrouble, Projector
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.testing.contracts.eventstore.projections import CannotBe, fill, folded, run, work_off
from cortex_core.testing.contracts.eventstore.tally import Tally
from cortex_core.testing.contracts.eventstore.terms import Spoil, Store, placed
from cortex_core.testing.fake_clock import FakeClock
from cortex_core.testing.waiting import eventually


class Away(CortexError):
    code, kind = "tally.away", Kind.UNAVAILABLE


class PoisonContract:
    """See the module."""

    async def test_what_time_can_heal_is_tried_again(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        told: list[ProjectionTrouble] = []
        await fill(store, streams=3)
        tally.faults[1] = Away("later")
        projector = Projector(store, tally, clock=clock, poison="park", on_trouble=told.append)

        for _ in range(3):
            await projector.step()
            await clock.advance(5)
        tally.faults.clear()
        await projector.step()

        assert await tally.rows(1) == await folded(store)
        assert [(each.attempt, each.code, each.parked, each.retryable) for each in told] == [
            (attempt, "tally.away", False, True) for attempt in (1, 2, 3)
        ]

    async def test_a_poison_event_stops_it_with_all_before_it_applied(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        told: list[ProjectionTrouble] = []
        await fill(store, streams=5)
        tally.faults[3] = CannotBe("three")
        projector = Projector(store, tally, clock=clock, on_trouble=told.append)

        await work_off(projector)

        assert await tally.rows(1) == {"public/s0": [0], "public/s1": [1], "public/s2": [2]}
        [trouble] = told
        poison = (await store.read_all())[3]
        assert (trouble.position, trouble.code, trouble.event) == (poison.position, "tally.cannot-be", poison)
        assert (trouble.generation, trouble.attempt, trouble.parked, trouble.retryable) == (1, 1, False, False)
        assert projector.troubled

        tally.faults.clear()
        await clock.advance(5)
        await work_off(projector)

        assert await tally.rows(1) == await folded(store)
        assert not projector.troubled

    async def test_a_back_off_is_not_shortened_by_news(self, store: Store, tally: Tally, clock: FakeClock) -> None:
        told: list[ProjectionTrouble] = []
        tally.faults[0] = CannotBe("zero")
        projector = Projector(store, tally, clock=clock, on_trouble=told.append, base_delay=5, interval=60)
        async with run(projector):
            await store.append("a", [placed(0)], expected_version=0)
            await eventually(lambda: told)
            for version in range(1, 4):
                await store.append("a", [placed(version)], expected_version=version)
                projector.wake()
                await clock.advance(0)
            assert len(told) == 1

            await clock.advance(5)
            await eventually(lambda: len(told) >= 2)

    async def test_a_parked_stream_is_passed_over_and_the_others_go_on(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        told: list[ProjectionTrouble] = []
        seen: list[Progress] = []
        await fill(store, streams=4, each=2)
        tally.faults[2] = CannotBe("two")
        projector = Projector(store, tally, clock=clock, poison="park", on_trouble=told.append, on_progress=seen.append)

        await work_off(projector)
        tally.faults.clear()
        await store.append("s1", [placed(99)], expected_version=2)
        await store.append("s2", [placed(100)], expected_version=2)
        await work_off(Projector(store, tally, clock=clock, poison="park"))

        assert await tally.rows(1) == {"public/s0": [0, 1], "public/s2": [4, 5, 100], "public/s3": [6, 7]}
        [parked] = await store.checkpoints.parked("tally", 1)
        assert (parked.tenant, parked.stream, parked.code) == ("public", "s1", "tally.cannot-be")
        assert [(each.parked, each.position) for each in told] == [(True, parked.position)]
        assert seen[-1].parked == 1
        assert not projector.troubled

    async def test_too_many_parked_streams_are_a_bug_and_stop_it(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        told: list[ProjectionTrouble] = []
        await fill(store, streams=6)
        tally.faults |= {number: CannotBe("any") for number in (1, 2, 4)}

        await work_off(Projector(store, tally, clock=clock, poison="park", park_limit=2, on_trouble=told.append))

        assert await tally.rows(1) == {"public/s0": [0], "public/s3": [3]}
        assert [each.parked for each in told] == [True, True, False]

    async def test_what_another_replica_parked_is_parked_here_too(
        self, store: Store, tally: Tally, clock: FakeClock
    ) -> None:
        await store.append("a", [placed(1)], expected_version=0)
        here = Projector(store, tally, clock=clock, poison="park")
        await work_off(here)
        tally.faults[2] = CannotBe("two")
        await store.append("a", [placed(2)], expected_version=1)
        await work_off(Projector(store, tally, clock=clock, poison="park"))
        tally.faults.clear()

        await store.append("a", [placed(3)], expected_version=2)
        await work_off(here)

        assert await tally.rows(1) == {"public/a": [1]}

    @pytest.mark.parametrize("poison", ["stop", "park"])
    async def test_a_row_that_cannot_be_read_is_poison(
        self, store: Store, tally: Tally, clock: FakeClock, spoil: Spoil, poison: Any
    ) -> None:
        told: list[ProjectionTrouble] = []
        await fill(store, streams=4, each=2)
        corrupt = (await store.read_all())[3]
        await spoil("s1", 2, "data", b"[]")

        await work_off(Projector(store, tally, clock=clock, poison=poison, on_trouble=told.append))

        rest = {"public/s2": [4, 5], "public/s3": [6, 7]} if poison == "park" else {}
        assert await tally.rows(1) == {"public/s0": [0, 1], "public/s1": [2], **rest}
        [trouble] = told
        assert isinstance(trouble.error, CorruptEvent)
        assert (trouble.position, trouble.parked, trouble.event) == (corrupt.position, poison == "park", None)

    async def test_a_parked_stream_that_cannot_be_read_again_takes_no_second_place(
        self, store: Store, tally: Tally, clock: FakeClock, spoil: Spoil
    ) -> None:
        told: list[ProjectionTrouble] = []
        await fill(store, streams=3, each=3)
        for version in (1, 3):
            await spoil("s1", version, "data", b"[]")
        projector = Projector(store, tally, clock=clock, poison="park", park_limit=1, on_trouble=told.append)

        await work_off(projector)

        assert await tally.rows(1) == {"public/s0": [0, 1, 2], "public/s2": [6, 7, 8]}
        assert [each.parked for each in told] == [True]
        assert not projector.troubled

    @pytest.mark.parametrize(
        ("said", "kept"),
        [("a\0b", "a?b"), ("half a \ud800", "half a ?"), ("äöü€ " * 200_000, "äöü€ " * 100)],
        ids=["nul", "surrogate", "long"],
    )
    async def test_a_stream_is_parked_whatever_its_error_says(
        self, store: Store, tally: Tally, clock: FakeClock, said: str, kept: str
    ) -> None:
        await fill(store, streams=3)
        tally.faults[1] = ValueError(said)

        await work_off(Projector(store, tally, clock=clock, poison="park", on_trouble=lambda _: None))

        assert await tally.rows(1) == {"public/s0": [0], "public/s2": [2]}
        [parked] = await store.checkpoints.parked("tally", 1)
        assert parked.reason == kept
