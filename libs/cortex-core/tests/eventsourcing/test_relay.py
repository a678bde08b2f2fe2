import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    BacklogDetails,
    LoggingRelayHooks,
    MemoryEventStore,
    Message,
    PublishedDetails,
    RelaySettings,
    tenure,
)
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.wires import FakeWire

from .relayed import MakeRelay, Running, add, nothing_waits

EPOCH = tenure.BATCHES_AN_EPOCH


@dataclass
class Heard(LoggingRelayHooks):
    """What the hooks were told."""

    backlog: list[BacklogDetails] = field(default_factory=list)
    published: list[PublishedDetails] = field(default_factory=list)

    def on_backlog(self, details: BacklogDetails, /) -> None:
        self.backlog.append(details)

    def on_published(self, details: PublishedDetails, /) -> None:
        self.published.append(details)


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


async def test_what_waits_is_published_in_order_and_marked(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
) -> None:
    await add(store, "m3", "m1")
    await add(store, "m2")

    async with running(make_relay(store, wire)):
        await eventually(lambda: wire.ids == ["m3", "m1", "m2"])
        await eventually(lambda: nothing_waits(store))


async def test_a_new_message_goes_out_at_once(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    async with running(make_relay(store, wire, settings=RelaySettings(interval=60))) as task:
        await eventually(lambda: wire.looks)  # nothing to do: it waits
        await add(store, "m")

        await eventually(lambda: wire.ids == ["m"])

    assert clock.monotonic() == 0 and task.cancelled()


async def test_with_nothing_to_do_it_does_nothing(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    heard = Heard()
    settings = RelaySettings(interval=60, look=600)
    async with running(make_relay(store, wire, settings=settings, hooks=heard)):
        await add(store, "m")
        await eventually(lambda: heard.backlog and heard.backlog[-1].pending == 0 and wire.ids == ["m"])
        await clock.advance(1)
        settled = len(heard.backlog), wire.looks

        await clock.advance(50)

    assert (len(heard.backlog), wire.looks) == settled


async def test_what_another_process_added_goes_out_within_the_interval(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    relay = make_relay(store, wire, settings=RelaySettings(interval=2))
    relay.wake = lambda: None  # type: ignore[method-assign]  # what happens in another process wakes nobody in this one
    async with running(relay):
        await eventually(lambda: wire.looks)
        await add(store, "m")

        await clock.advance(1.9)
        assert wire.ids == []
        await clock.advance(0.1)
        assert wire.ids == ["m"]


async def test_many_messages_go_in_batches_without_a_pause(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    await add(store, *(f"m{n:03}" for n in range(25)))

    async with running(make_relay(store, wire, settings=RelaySettings(batch=10))):
        await eventually(lambda: len(wire.ids) == 25)

    assert [len(ids) for _, ids in wire.batches] == [10, 10, 5]
    assert wire.ids == sorted(wire.ids)
    assert clock.monotonic() == 0


async def test_a_publication_has_a_size_limit_and_at_least_one_message(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    await add(store, "m1", "m2", payload=b"x" * 50)
    await add(store, "m3", payload=b"x" * 101)
    await add(store, "m4", payload=b"x")

    async with running(make_relay(store, wire, settings=RelaySettings(max_bytes=100))):
        await eventually(lambda: len(wire.ids) == 4)

    assert [ids for _, ids in wire.batches] == [["m1", "m2"], ["m3"], ["m4"]]
    assert clock.monotonic() == 0


async def test_batches_are_numbered_within_the_epoch_and_kept_with_their_rows(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
) -> None:
    heard = Heard()
    await add(store, "m1", "m2", "m3")
    async with running(make_relay(store, wire, settings=RelaySettings(batch=2), hooks=heard)):
        await eventually(lambda: nothing_waits(store))

    assert wire.batches == [(EPOCH + 1, ["m1", "m2"]), (EPOCH + 2, ["m3"])]
    assert heard.published == [PublishedDetails(2, EPOCH + 1), PublishedDetails(1, EPOCH + 2)]
    assert await store.outbox.last_batch() == EPOCH + 2

    await add(store, "m4")
    async with running(make_relay(store, wire)):
        await eventually(lambda: nothing_waits(store))
    assert wire.batches[-1] == (2 * EPOCH + 1, ["m4"])


async def test_an_epoch_that_has_no_numbers_left_is_followed_by_the_next(
    running: Running,
    make_relay: MakeRelay,
    store: MemoryEventStore,
    wire: FakeWire,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tenure, "BATCHES_AN_EPOCH", 3)
    await add(store, "m1", "m2", "m3", "m4", "m5")

    async with running(make_relay(store, wire, settings=RelaySettings(batch=1))):
        await eventually(lambda: nothing_waits(store))

    assert wire.batches == [(4, ["m1"]), (5, ["m2"]), (7, ["m3"]), (8, ["m4"]), (10, ["m5"])]
    assert clock.monotonic() == 0


async def test_cancelled_while_publishing_the_next_run_publishes_the_same(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
) -> None:
    hanging = asyncio.Event()

    class Hanging(FakeWire):
        async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
            await super().publish(messages, batch, after=after)
            hanging.set()
            return await asyncio.get_running_loop().create_future()

    slow = Hanging(batches=wire.batches)
    await add(store, "m1", "m2")
    async with running(make_relay(store, slow)) as task:
        await hanging.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with running(make_relay(store, wire)):
        await eventually(lambda: len(wire.ids) == 4)
    assert wire.ids == ["m1", "m2", "m1", "m2"]


async def test_it_tells_what_waits_and_since_when(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    heard = Heard()
    began = clock.now()
    wire.down = ConnectionError()
    await add(store, "m1", "m2", "m3")
    async with running(make_relay(store, wire, settings=RelaySettings(batch=2), hooks=heard)):
        await eventually(lambda: heard.backlog)
        assert set(heard.backlog) == {BacklogDetails(3, began)}, "while the bus is down is when somebody looks"
        wire.down = None
        await clock.advance(5)
        await eventually(lambda: heard.backlog[-1] == BacklogDetails(0, None))


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"batch": 0},
        {"max_bytes": 0},
        {"look": 0},
        {"base_delay": 0},
        {"base_delay": 2, "max_delay": 1},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        RelaySettings(**wrong)
