"""A bus that has lost something is repaired from what is kept, and nothing else is published again."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import pytest

from cortex_core.eventsourcing import (
    LoggingRelayHooks,
    LossDetails,
    MemoryEventStore,
    Message,
    Relay,
    RelaySettings,
    RepairDetails,
    tenure,
)
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.wires import FakeWire

Running = Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]
MakeRelay = Callable[..., Relay]

FIRST = tenure.BATCHES_AN_EPOCH + 1
SMALL = RelaySettings(batch=2, look=5)
LOOK = 7.0  # seconds: a question to the bus comes within them


@dataclass
class Heard(LoggingRelayHooks):
    """What the hooks were told."""

    losses: list[LossDetails] = field(default_factory=list)
    repairs: list[RepairDetails] = field(default_factory=list)

    def on_loss(self, details: LossDetails, /) -> None:
        self.losses.append(details)

    def on_repair(self, details: RepairDetails, /) -> None:
        self.repairs.append(details)


async def add(store: MemoryEventStore, *names: str) -> None:
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def heard() -> Heard:
    return Heard()


SEVEN = [f"m{n}" for n in range(1, 8)]  # in four batches of at most two


@pytest.fixture
async def relayed(store: MemoryEventStore, wire: FakeWire, make_relay: MakeRelay, running: Running) -> None:
    """All seven have been sent, by a leader that has ended."""
    await add(store, *SEVEN)
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.ids == SEVEN)
        await eventually(lambda: store.outbox._unsent == {})  # type: ignore[attr-defined]  # the memory outbox's
    wire.looks = wire.attempts = 0


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
@pytest.mark.usefixtures("relayed")
async def test_a_new_leader_finds_what_is_missing_and_publishes_just_that(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, heard: Heard, lost: int
) -> None:
    before = wire.batches.copy()
    wire.lose(lost)

    async with running(make_relay(store, wire, settings=SMALL, hooks=heard)):
        await eventually(lambda: wire.ids == SEVEN)

    missing = [each for _, ids in before[-lost:] for each in ids]
    assert wire.heard == SEVEN + missing
    assert wire.batches == before, "under their own numbers"
    assert heard.losses == [LossDetails(FIRST + 3 - lost if lost < 4 else 0, FIRST + 3)]
    assert sum(each.messages for each in heard.repairs) == len(missing)
    assert [each.complete for each in heard.repairs] == [False] * (len(heard.repairs) - 1) + [True]


@pytest.mark.usefixtures("relayed")
async def test_a_bus_that_lost_nothing_is_left_alone(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, heard: Heard, clock: FakeClock
) -> None:
    async with running(make_relay(store, wire, settings=SMALL, hooks=heard)):
        await clock.advance(60)

    assert wire.looks > 5
    assert (wire.heard, heard.losses, heard.repairs) == (SEVEN, [], [])


@pytest.mark.usefixtures("relayed")
async def test_a_wipe_is_noticed_while_nothing_is_published(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, heard: Heard, clock: FakeClock
) -> None:
    async with running(make_relay(store, wire, settings=SMALL, hooks=heard)):
        await eventually(lambda: wire.looks)
        wire.lose(4)

        await clock.advance(LOOK)
        await eventually(lambda: wire.ids == SEVEN)

    assert heard.losses == [LossDetails(0, FIRST + 3)]


@pytest.mark.usefixtures("relayed")
async def test_a_wipe_between_two_publications_is_noticed_by_the_second(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    """Without a question in between: the number it must follow is not there."""
    async with running(make_relay(store, wire, settings=SMALL)):
        await add(store, "m8")
        await eventually(lambda: wire.ids[-1:] == ["m8"])
        looks = wire.looks
        wire.lose(5)

        await add(store, "m9")
        await eventually(lambda: "m9" in wire.ids)

    assert wire.ids == [*SEVEN, "m8", "m9"], "the old ones first: a subject's order holds"
    assert (wire.looks, clock.monotonic()) == (looks, 0)
    assert wire.refusals == 1


@pytest.mark.usefixtures("relayed")
async def test_a_loss_during_an_outage_is_noticed_when_it_ends(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.looks)
        wire.down = ConnectionError()
        await add(store, "m8")
        await eventually(lambda: wire.attempts == 1)
        wire.lose(2)
        wire.down = None
        await clock.advance(5)
        await eventually(lambda: wire.ids == [*SEVEN, "m8"])


@pytest.mark.usefixtures("relayed")
async def test_a_loss_during_the_repair_begins_it_again(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, heard: Heard
) -> None:
    class Twice(Heard):
        def on_repair(self, details: RepairDetails, /) -> None:
            super().on_repair(details)
            if len(self.repairs) == 2:
                wire.lose(2)

    hooks = Twice()
    wire.lose(4)
    async with running(make_relay(store, wire, settings=SMALL, hooks=hooks)):
        await eventually(lambda: wire.ids == SEVEN)

    assert wire.heard == SEVEN + SEVEN[:4] + SEVEN
    assert wire.refusals == 1


@pytest.mark.usefixtures("relayed")
async def test_a_repair_that_was_interrupted_goes_on_where_it_was(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    class Stumbling(Heard):
        def on_repair(self, details: RepairDetails, /) -> None:
            super().on_repair(details)
            if len(self.repairs) == 2:
                wire.down = ConnectionError()

    wire.lose(4)
    async with running(make_relay(store, wire, settings=SMALL, hooks=Stumbling())):
        await eventually(lambda: wire.down)

    wire.down = None
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.ids == SEVEN)

    assert wire.heard == SEVEN + SEVEN, "each once more, and no more than that"


@pytest.mark.usefixtures("relayed")
async def test_what_was_trimmed_cannot_be_repaired_and_stops_nothing(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    await clock.advance(1)
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.looks)
        assert await store.outbox.trim(clock.now(), up_to=FIRST + 9, limit=100) == 7
        wire.lose(4)
        await add(store, "m8")
        await eventually(lambda: wire.ids == ["m8"])


async def test_what_was_sent_before_there_were_numbers_is_not_repaired(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
) -> None:
    await add(store, "m1")
    await store.outbox.mark_sent(["m1"])
    async with running(make_relay(store, wire)):
        await add(store, "m2")
        await eventually(lambda: wire.ids == ["m2"])


async def test_a_store_put_back_to_an_older_state_goes_on_from_there(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
) -> None:
    """The bus shows a higher number than the store has ever given."""
    wire.batches = [(90 * FIRST, ["another life's"])]
    await add(store, "m1", "m2", "m3")
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.heard == ["m1", "m2", "m3"])
        await eventually(lambda: store.outbox._unsent == {})  # type: ignore[attr-defined]  # the memory outbox's

    wire.lose(1)
    async with running(make_relay(store, wire, settings=SMALL)):
        await eventually(lambda: wire.ids[1:] == ["m1", "m2", "m3"])
