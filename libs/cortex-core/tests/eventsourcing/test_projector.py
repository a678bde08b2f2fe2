"""What holds for a projector whatever its store is: its arguments, its hooks, its loop when things go wrong."""

import asyncio
import logging
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    EventStoreUnavailable,
    MemoryEventStore,
    NewEvent,
    Progress,
    ProjectionTrouble,
    Projector,
    RecordedEvent,
    Stage,
)
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.contracts.eventstore.projections import CannotBe, fill, folded, run, work_off
from cortex_core.testing.contracts.eventstore.tally import MemoryTally
from cortex_core.testing.contracts.eventstore.terms import placed


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def tally() -> MemoryTally:
    return MemoryTally()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"interval": 0}, "interval"),
        ({"base_delay": 0}, "base_delay"),
        ({"base_delay": 2, "max_delay": 1}, "max_delay"),
        ({"batch": 0}, "batch"),
        ({"park_limit": 0}, "park_limit"),
        ({"poison": "skip"}, "poison"),
    ],
)
def test_arguments_out_of_their_bounds_are_refused(
    store: MemoryEventStore, tally: MemoryTally, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Projector(store, tally, **arguments)


def test_logic_has_a_version_from_1(store: MemoryEventStore, tally: MemoryTally) -> None:
    tally.version = 0

    with pytest.raises(ValueError, match="version"):
        Projector(store, tally)


async def test_a_store_that_is_away_is_told_and_waited_for(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ProjectionTrouble] = []
    await fill(store, streams=2)
    projector = Projector(store, tally, clock=clock, on_trouble=told.append)
    async with run(projector):
        await eventually(lambda: clock.sleepers)
        with monkeypatch.context() as outage:

            async def away(*_: Any) -> Any:
                raise EventStoreUnavailable("gone")

            outage.setattr(store.checkpoints, "generations", away)
            await store.append("late", [placed(9)], expected_version=0)
            for _ in range(4):
                await eventually(lambda: clock.sleepers)
                await clock.advance(5)
            assert projector.troubled
        await clock.advance(5)

        await eventually(lambda: not projector.troubled)

    assert await tally.rows(1) == await folded(store)
    assert {(each.generation, each.code, each.retryable) for each in told} == {(0, "event-store.unavailable", True)}
    assert [each.attempt for each in told] == list(range(1, len(told) + 1))
    assert all(0 <= each.delay <= min(5.0, 0.1 * 2 ** (each.attempt - 1)) for each in told)


async def test_what_a_hook_raises_stops_nothing(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("a listener's own")

    await fill(store, streams=4)
    tally.faults[2] = CannotBe("two")
    projector = Projector(store, tally, clock=clock, poison="park", on_progress=broken, on_trouble=broken)

    await work_off(projector)

    assert await tally.rows(1) == {"public/s0": [0], "public/s1": [1], "public/s3": [3]}
    assert caplog.text.count("a projection's hook failed") >= 2
    assert not projector.troubled


async def test_trouble_is_logged_without_what_the_event_says_where_nobody_listens(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await store.append("a", [NewEvent("order.created", {"number": 1, "secret": "canary"})], expected_version=0)
    tally.faults[1] = CannotBe("canary")

    with caplog.at_level(logging.WARNING):
        await work_off(Projector(store, tally, clock=clock))

    assert "tally.cannot-be" in caplog.text
    assert "order.created a/1" in caplog.text
    assert "canary" not in caplog.text


async def test_progress_can_fail_to_be_told_without_harm(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> int:
        raise EventStoreUnavailable("gone")

    seen: list[Progress] = []
    await fill(store, streams=1)
    monkeypatch.setattr(store, "head", away)
    projector = Projector(store, tally, clock=clock, on_progress=seen.append)

    await work_off(projector)

    assert (seen, await tally.rows(1)) == ([], {"public/s0": [0]})
    assert not projector.troubled


async def test_the_first_generation_is_shown_while_it_fills(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    await fill(store, streams=5)
    projector = Projector(store, tally, clock=clock, batch=2)
    assert (await projector.status()).live is None
    assert (await projector.status()).lag == 5

    await projector.step()

    live = (await projector.status()).live
    assert live is not None
    assert (live.generation, live.position, live.stage) == (1, 2, Stage.LIVE)


async def test_its_age_is_told_past_a_row_that_cannot_be_read(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    await fill(store, streams=2)
    store._rows[1].data = "?"
    projector = Projector(store, tally, clock=clock)
    await work_off(projector)
    await clock.advance(3)

    assert (await projector.status()).behind == 3.0


async def test_a_corrupt_row_whose_position_nobody_says_stops_even_one_that_parks(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all = store.read_all

    async def read_without_position(*, after: int = 0, limit: int = 500) -> list[RecordedEvent]:
        try:
            return await read_all(after=after, limit=limit)
        except Exception as error:
            error.position = None  # type: ignore[attr-defined]
            raise

    told: list[ProjectionTrouble] = []
    await fill(store, streams=3)
    store._rows[1].data = "?"
    monkeypatch.setattr(store, "read_all", read_without_position)

    await work_off(Projector(store, tally, clock=clock, poison="park", on_trouble=told.append))

    assert await tally.rows(1) == {"public/s0": [0]}
    assert [each.parked for each in told] == [False]


async def test_a_rebuild_before_the_first_round_begins_the_first_too(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    await fill(store, streams=3)
    projector = Projector(store, tally, clock=clock)

    assert await projector.rebuild() == 2
    await work_off(projector)

    assert [each.generation for each in await store.checkpoints.generations("tally")] == [2]
    assert await tally.rows(2) == await folded(store)


async def test_an_idle_round_writes_nothing(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("a transaction, with nothing to write")

    await fill(store, streams=1)
    projector = Projector(store, tally, clock=clock)
    await work_off(projector)
    monkeypatch.setattr(store, "transaction", refuse)

    assert await projector.step() is False
    assert not projector.troubled


async def test_what_is_shown_comes_first(store: MemoryEventStore, tally: MemoryTally, clock: FakeClock) -> None:
    seen: list[Progress] = []
    await fill(store, streams=4)
    projector = Projector(store, tally, clock=clock, batch=1, on_progress=seen.append)
    await projector.rebuild()

    await projector.step()

    assert [each.stage for each in seen] == [Stage.LIVE, Stage.BUILDING]


async def test_while_all_waits_after_a_failure_news_cost_nothing(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, generations = 0, store.checkpoints.generations

    async def counted(projection: str) -> Any:
        nonlocal looks
        looks += 1
        return await generations(projection)

    tally.faults[0] = CannotBe("zero")
    projector = Projector(store, tally, clock=clock, base_delay=5, interval=60, on_trouble=lambda _: None)
    async with run(projector):
        await store.append("a", [placed(0)], expected_version=0)
        await eventually(lambda: projector.troubled)
        monkeypatch.setattr(store.checkpoints, "generations", counted)
        for version in range(1, 20):
            await store.append("a", [placed(version)], expected_version=version)
            await clock.advance(0)

    assert looks <= 1


async def test_who_waits_wakes_the_projector_for_what_another_process_has_written(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    projector = Projector(store, tally, clock=clock, interval=60)
    async with run(projector):
        await eventually(lambda: clock.sleepers)
        store._watchers.clear()
        await store.append("a", [placed(1)], expected_version=0)

        assert await asyncio.wait_for(projector.caught_up(within=1), 30)
        store._watchers.append(projector.wake)


async def test_running_a_projector_ends_with_its_task_and_hears_no_more(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock
) -> None:
    async with run(Projector(store, tally, clock=clock)):
        await eventually(lambda: store._watchers)

    assert store._watchers == []


async def test_what_newer_code_keeps_up_is_told_of_and_said_once(
    store: MemoryEventStore, tally: MemoryTally, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a roll-back of the code: nobody moves it any more, and it must show."""
    seen: list[Progress] = []
    tally.version = 2
    await fill(store, streams=2)
    tally.faults[1] = CannotBe("one")
    await work_off(Projector(store, tally, clock=clock, poison="park"))
    await store.append("late", [placed(9)], expected_version=0)
    await clock.advance(20)
    tally.version = 1
    projector = Projector(store, tally, clock=clock, poison="park", on_progress=seen.append)
    caplog.clear()

    for _ in range(3):
        assert not await projector.step()

    assert {(each.stage, each.position, each.lag, each.behind, each.events, each.parked) for each in seen} == {
        (Stage.LIVE, 2, 1, 20.0, 0, 1)
    }
    assert len(seen) == 3
    assert caplog.text.count("other version") == 1
