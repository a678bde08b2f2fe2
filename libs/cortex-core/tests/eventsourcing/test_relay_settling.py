"""At the end of a service: what waits goes out, for as long as that may take."""

import asyncio
from collections.abc import Sequence

import pytest

from cortex_core.eventsourcing import (
    MemoryEventStore,
    Message,
    RelaySettings,
)
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.wires import FakeWire

from .relayed import MakeRelay, Running, add, nothing_waits


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


class TestSettling:
    async def test_what_waits_goes_out_before_it_returns(
        self, running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
    ) -> None:
        relay = make_relay(store, wire, settings=RelaySettings(batch=1))
        async with running(relay):
            await eventually(lambda: relay.leads and wire.looks)
            relay.wake = lambda: None  # type: ignore[method-assign]  # not even having been told
            await add(store, "m1", "m2", "m3")
            del relay.wake  # type: ignore[attr-defined]  # the class's own again

            await relay.settle(within=5)

            assert wire.ids == ["m1", "m2", "m3"]
            assert await nothing_waits(store)

    async def test_what_came_while_a_batch_was_on_its_way_goes_too(
        self, running: Running, make_relay: MakeRelay, store: MemoryEventStore
    ) -> None:
        leaves = asyncio.Event()

        class Slow(FakeWire):
            async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
                self.attempts += 1
                await leaves.wait()
                return await super().publish(messages, batch, after=after)

        wire = Slow()
        relay = make_relay(store, wire)
        async with running(relay):
            await add(store, "m1")
            await eventually(lambda: wire.attempts)
            await add(store, "m2")
            settling = asyncio.create_task(relay.settle(within=5))
            await asyncio.sleep(0)
            leaves.set()

            await settling

            assert wire.ids == ["m1", "m2"]

    async def test_a_follower_has_nothing_to_settle(
        self, running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
    ) -> None:
        await store.leases.acquire("relay", "another", 60)
        relay = make_relay(store, wire)
        async with running(relay):
            await add(store, "m")
            await asyncio.wait_for(relay.settle(within=60), 30)
        assert wire.ids == []

    async def test_a_bus_that_is_down_is_not_waited_for(
        self, running: Running, make_relay: MakeRelay, store: MemoryEventStore, wire: FakeWire
    ) -> None:
        wire.down = ConnectionError()
        relay = make_relay(store, wire)
        async with running(relay):
            await add(store, "m")
            await eventually(lambda: wire.looks)
            await asyncio.wait_for(relay.settle(within=60), 30)

    async def test_it_does_not_take_longer_than_it_may(
        self, running: Running, make_relay: MakeRelay, store: MemoryEventStore
    ) -> None:
        class Hanging(FakeWire):
            async def publish(self, messages: Sequence[Message], batch: int, *, after: int) -> int:
                self.attempts += 1
                return await asyncio.get_running_loop().create_future()

        wire = Hanging()
        relay = make_relay(store, wire)
        async with running(relay):
            await add(store, "m")
            await eventually(lambda: wire.attempts)
            await asyncio.wait_for(relay.settle(within=0.01), 30)
