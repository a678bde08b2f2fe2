"""Loading with snapshots is folding all events, whatever state the snapshots are in."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.eventsourcing import (
    Aggregates,
    Drop,
    EventStoreUnavailable,
    Loaded,
    MemoryEventStore,
    NewEvent,
    RecordedEvent,
    SnapshotPolicy,
    SnapshotTrouble,
    Upcasters,
)
from cortex_core.kernel.context import use_context
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.eventstore.terms import placed

State = tuple[int, ...]


def fold(state: State, event: RecordedEvent) -> State:
    return (*state, event.data["number"])


def policy(**changes: Any) -> SnapshotPolicy[State]:
    made: SnapshotPolicy[State] = SnapshotPolicy(
        schema_version=1, dump=lambda state: {"numbers": list(state)}, restore=restore, every=10
    )
    return replace(made, **changes)


def restore(state: Mapping[str, Any]) -> State:
    return tuple(state["numbers"])


def aggregates(store: MemoryEventStore, snapshots: SnapshotPolicy[State] | None = None) -> Aggregates[State]:
    return Aggregates(store, initial=tuple, fold=fold, snapshots=snapshots)


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


async def fill(store: MemoryEventStore, count: int, stream: str = "a") -> None:
    await store.append(stream, [placed(number) for number in range(1, count + 1)], expected_version=0)


class Reads:
    """Counts what is read of a store."""

    def __init__(self, store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events = 0
        read = store.read

        async def counted(stream: str, **options: Any) -> list[RecordedEvent]:
            events = await read(stream, **options)
            self.events += len(events)
            return events

        monkeypatch.setattr(store, "read", counted)


async def test_a_stream_is_folded_from_its_beginning(store: MemoryEventStore) -> None:
    await fill(store, 3)

    assert await aggregates(store).load("a") == Loaded((1, 2, 3), 3)
    assert await aggregates(store).load("never was") == Loaded((), 0)


async def test_thousands_of_events_are_read_page_by_page(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, 2_500)
    limits: list[int | None] = []
    read = store.read

    async def watched(stream: str, *, after: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        limits.append(limit)
        return await read(stream, after=after, limit=limit)

    monkeypatch.setattr(store, "read", watched)

    assert (await aggregates(store).load("a")).version == 2_500
    assert limits == [1_000, 1_000, 1_000]


async def test_a_load_that_folded_many_leaves_a_snapshot_for_the_next(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, 2_000)
    orders, reads = aggregates(store, policy(every=500)), Reads(store, monkeypatch)
    first = await orders.load("a")
    assert reads.events == 2_000

    await store.append("a", [placed(2_001)], expected_version=2_000)
    second = await orders.load("a")

    assert reads.events == 2_001
    assert second == Loaded((*first.state, 2_001), 2_001)


@pytest.mark.parametrize(("events", "snapshots"), [(9, 0), (10, 1), (11, 1)])
async def test_a_snapshot_is_taken_every_so_many_events(store: MemoryEventStore, events: int, snapshots: int) -> None:
    await fill(store, events)

    await aggregates(store, policy()).load("a")
    await aggregates(store, policy()).load("a")

    assert len(store.snapshots.rows) == snapshots


async def test_only_the_newest_snapshots_are_kept(store: MemoryEventStore) -> None:
    orders = aggregates(store, policy(every=1, keep=2))
    for version in range(5):
        await store.append("a", [placed(version)], expected_version=version)
        await orders.load("a")

    assert sorted(version for _, _, version in store.snapshots.rows) == [4, 5]


async def test_looking_back_in_time_leaves_no_snapshot(store: MemoryEventStore) -> None:
    await fill(store, 30)

    assert await aggregates(store, policy()).load("a", version=25) == Loaded(tuple(range(1, 26)), 25)
    assert store.snapshots.rows == {}


async def test_looking_back_in_time_begins_at_the_snapshot_before(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, 100)
    for version in (40, 80):
        await store.snapshots.save("a", version, {"numbers": list(range(1, version + 1))}, schema_version=1)
    reads = Reads(store, monkeypatch)

    assert await aggregates(store, policy()).load("a", version=50) == Loaded(tuple(range(1, 51)), 50)
    assert reads.events == 10


@pytest.mark.parametrize(("version", "reached"), [(0, 0), (3, 3), (4, 3)])
async def test_a_version_is_looked_at_as_far_as_there_is_one(
    store: MemoryEventStore, version: int, reached: int
) -> None:
    await fill(store, 3)

    assert (await aggregates(store, policy()).load("a", version=version)).version == reached


async def test_there_is_no_version_before_the_beginning(store: MemoryEventStore) -> None:
    with pytest.raises(ValueError, match="version"):
        await aggregates(store).load("a", version=-1)


async def test_a_snapshot_that_cannot_be_restored_is_told_and_an_older_one_taken(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[SnapshotTrouble] = []
    await fill(store, 9)
    await store.snapshots.save("a", 4, {"numbers": [1, 2, 3, 4]}, schema_version=1)
    await store.snapshots.save("a", 8, {"figures": []}, schema_version=1)
    reads = Reads(store, monkeypatch)

    loaded = await aggregates(store, policy(on_trouble=told.append)).load("a")

    assert (loaded, reads.events) == (Loaded(tuple(range(1, 10)), 9), 5)
    assert [(each.stage, each.stream, each.version) for each in told] == [("restore", "a", 8)]


async def test_a_snapshot_that_cannot_be_made_costs_the_loader_nothing(
    store: MemoryEventStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise EventStoreUnavailable("the disk is full")

    told: list[SnapshotTrouble] = []
    await fill(store, 20)
    undumpable = policy(dump=lambda _: {"state": object()}, on_trouble=told.append)

    assert (await aggregates(store, undumpable).load("a")).version == 20
    monkeypatch.setattr(store.snapshots, "save", full)
    assert (await aggregates(store, policy(on_trouble=told.append)).load("a")).version == 20
    assert (await aggregates(store, policy()).load("a")).version == 20

    assert [(each.stage, type(each.error).__name__) for each in told] == [
        ("save", "UnstorableSnapshot"),
        ("save", "EventStoreUnavailable"),
    ]
    assert "snapshot at version 20 of a" in caplog.text


async def test_an_event_that_was_dropped_counts_and_is_not_folded(clock: FakeClock) -> None:
    store = MemoryEventStore(clock=clock, upcasters=Upcasters([Drop("probed", 1)]))
    await store.append("a", [placed(1), NewEvent("probed", {}), placed(3), NewEvent("probed", {})], expected_version=0)

    assert await aggregates(store).load("a") == Loaded((1, 3), 4)


async def test_a_tenant_s_snapshots_are_its_own(store: MemoryEventStore) -> None:
    await fill(store, 20)
    await aggregates(store, policy()).load("a")

    with use_context(tenant="acme"):
        assert await aggregates(store, policy()).load("a") == Loaded((), 0)


@pytest.mark.parametrize("bound", ["every", "keep"])
def test_a_policy_has_bounds(bound: str) -> None:
    with pytest.raises(ValueError, match=bound):
        policy(**{bound: 0})


@given(data=st.data(), count=st.integers(0, 40), every=st.integers(1, 15), keep=st.integers(1, 4))
async def test_with_any_snapshots_a_load_is_the_full_fold(
    data: st.DataObject, count: int, every: int, keep: int
) -> None:
    store = MemoryEventStore(clock=FakeClock())
    orders = aggregates(store, policy(every=every, keep=keep, on_trouble=lambda _: None))
    plain = aggregates(store)
    for version in range(count):
        await store.append("a", [placed(version + 1)], expected_version=version)
        if data.draw(st.booleans(), "load"):
            await orders.load("a")
        for key in list(store.snapshots.rows):
            match data.draw(st.sampled_from(["leave", "leave", "spoil", "age", "lose", "stray"]), "harm"):
                case "spoil":
                    store.snapshots.rows[key].state = data.draw(st.binary(max_size=60))
                case "age":
                    store.snapshots.rows[key].schema_version = 2
                case "lose":
                    del store.snapshots.rows[key]
                case "stray":
                    store.snapshots.rows[key[0], key[1], key[2] + 1] = store.snapshots.rows[key]
    version = data.draw(st.none() | st.integers(0, count + 2), "version")

    assert await orders.load("a", version=version) == await plain.load("a", version=version)
