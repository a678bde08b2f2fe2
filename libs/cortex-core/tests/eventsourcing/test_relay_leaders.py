"""Several replicas of one store: one relays, and the next one takes over."""

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from cortex_core.eventsourcing import RELAY, Fence, Fenced, MemoryEventStore, Message, Relay, RelaySettings
from cortex_core.eventsourcing.memory_messages import MemoryOutbox
from cortex_core.eventsourcing.tenure import BATCHES_AN_EPOCH
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.wires import FakeWire

Running = Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]
MakeRelay = Callable[..., Relay]

TTL = 3.0


async def add(store: MemoryEventStore, *names: str) -> None:
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


class Stop:
    """Where a process is stopped, as by SIGSTOP, until it may go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.over.wait()


class StoppingWire(FakeWire):
    """One replica's way to `shared`; the replica is stopped before its next publication leaves it."""

    def __init__(self, shared: FakeWire) -> None:
        super().__init__(batches=shared.batches, heard=shared.heard)
        self.stop = Stop()

    async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
        await self.stop()
        return await super().publish(messages, batch, after=after)


class StoppingOutbox(MemoryOutbox):
    """One replica's way to the outbox; the replica is stopped before it marks anything."""

    def __init__(self, shared: MemoryOutbox) -> None:
        for each in dataclasses.fields(shared):
            setattr(self, each.name, getattr(shared, each.name))
        self.stop = Stop()
        self.fenced = 0

    async def mark_sent(self, ids: Sequence[str], batch: int = 0, *, fence: Fence | None = None) -> None:
        await self.stop()
        try:
            await super().mark_sent(ids, batch, fence=fence)
        except Fenced:
            self.fenced += 1
            raise


async def change_hands(store: MemoryEventStore) -> None:
    """For the store the lease's time is over; the process that was stopped has not looked at its clock yet."""
    held = store.leases._held  # type: ignore[attr-defined]  # the memory leases'
    for lease in list(held.values()):
        await store.leases.release(lease)


async def test_of_two_replicas_one_relays_and_each_message_goes_once(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    first, second = make_relay(store, wire, ttl=TTL), make_relay(store, wire, ttl=TTL)
    async with running(first), running(second):
        for number in range(40):
            await add(store, f"m{number:02}")
            await clock.advance(0.5)

        assert (first.leads, second.leads) == (True, False)

    assert wire.heard == [f"m{n:02}" for n in range(40)]
    assert wire.refusals == 0


async def test_when_the_leader_ends_another_goes_on_at_once(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    first, second = make_relay(store, wire, ttl=60), make_relay(store, wire, ttl=60)
    async with running(second):
        await eventually(lambda: second.leads)
        async with running(first):
            await clock.advance(0)
    async with running(first):
        await add(store, "m1")
        await eventually(lambda: wire.ids == ["m1"])


async def test_when_the_leader_dies_another_takes_over_within_the_lease_and_a_quarter(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    await store.leases.acquire(RELAY, "dead", TTL)
    await add(store, "m1")
    async with running(make_relay(store, wire, ttl=TTL)):
        await clock.advance(TTL - 0.01)
        assert wire.ids == []
        await clock.advance(TTL / 4 + 0.02)
        await eventually(lambda: wire.ids == ["m1"])


async def test_a_leader_that_was_stopped_and_replaced_publishes_nothing(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    old_wire = StoppingWire(wire)
    await add(store, "m1", "m2")
    async with running(make_relay(store, old_wire, ttl=TTL)):
        await old_wire.stop.reached.wait()
        await change_hands(store)
        async with running(make_relay(store, wire, ttl=TTL)):
            await eventually(lambda: wire.ids == ["m1", "m2"])
            old_wire.stop.over.set()
            await eventually(lambda: old_wire.refusals)
            await add(store, "m3")
            await eventually(lambda: wire.ids == ["m1", "m2", "m3"])
            await clock.advance(TTL)

    assert wire.heard == ["m1", "m2", "m3"]


async def test_a_leader_that_was_stopped_and_replaced_marks_nothing(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    outbox = StoppingOutbox(store._outbox)
    await add(store, "m1", "m2")
    async with running(make_relay(store, wire, outbox=outbox, ttl=TTL)):
        await outbox.stop.reached.wait()
        await change_hands(store)
        async with running(make_relay(store, wire, ttl=TTL)):
            await eventually(lambda: wire.ids == ["m1", "m2"] * 2)
            outbox.stop.over.set()
            await eventually(lambda: outbox.fenced)

    assert await store.outbox.last_batch() == 2 * BATCHES_AN_EPOCH + 1, "only the new leader's number is known"
    assert wire.heard == ["m1", "m2"] * 2, "a duplicate, at the take-over"


async def test_two_that_both_believe_to_lead_repair_one_bus(
    running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire, clock: FakeClock
) -> None:
    """The old one is stopped within its repair; the new one is, too; then both go on."""
    names = [f"m{n}" for n in range(8)]
    await add(store, *names)
    settings = RelaySettings(batch=2)
    async with running(make_relay(store, wire, settings=settings)):
        await eventually(lambda: wire.ids == names)
        await eventually(lambda: store._outbox._unsent == {})
    wire.lose(4)
    old, new = StoppingWire(wire), StoppingWire(wire)

    async with running(make_relay(store, old, settings=settings, ttl=TTL)):
        await old.stop.reached.wait()
        await change_hands(store)
        async with running(make_relay(store, new, settings=settings, ttl=TTL)):
            await new.stop.reached.wait()
            new.stop.over.set()
            old.stop.over.set()
            await eventually(lambda: wire.ids == names)

    assert old.refusals + new.refusals > 0
    assert wire.heard == names * 2, "repaired once, in order"
