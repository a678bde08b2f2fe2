import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from cortex_core.eventsourcing import MemoryEventStore, Message, Relay
from cortex_core.testing import FakeClock, eventually

Running = Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]


class Wire:
    """What reached the bus, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def publish(self, messages: Sequence[Message]) -> None:
        self.batches.append([each.id for each in messages])

    @property
    def ids(self) -> list[str]:
        return [each for batch in self.batches for each in batch]


async def add(store: MemoryEventStore, *names: str) -> None:
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_what_waits_is_published_in_order_and_marked(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    await add(store, "m3", "m1")
    await add(store, "m2")

    async with running(Relay(store.outbox, wire.publish, clock=clock)):
        await eventually(lambda: wire.ids == ["m3", "m1", "m2"])

    assert await store.outbox.count_pending() == 0


async def test_a_new_message_goes_out_at_once(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    async with running(Relay(store.outbox, wire.publish, clock=clock, interval=60)):
        await eventually(lambda: clock.sleepers)  # nothing to do: it waits
        await add(store, "m")

        await eventually(lambda: wire.ids == ["m"])

    assert clock.monotonic() == 0


async def test_with_nothing_to_do_it_does_nothing(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    looks: list[int] = []
    async with running(Relay(store.outbox, wire.publish, clock=clock, interval=60, on_pending=looks.append)):
        await eventually(lambda: clock.sleepers)
        await add(store, "m")
        await eventually(lambda: wire.ids == ["m"])
        await clock.advance(1)
        settled = len(looks)

        await clock.advance(50)

    assert len(looks) == settled


async def test_what_another_process_added_goes_out_within_the_interval(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    relay = Relay(store.outbox, wire.publish, clock=clock, interval=2)
    relay.wake = lambda: None  # type: ignore[method-assign]  # what happens in another process wakes nobody in this one
    async with running(relay):
        await eventually(lambda: clock.sleepers)
        await add(store, "m")

        await clock.advance(1.9)
        assert wire.ids == []
        await clock.advance(0.1)
        assert wire.ids == ["m"]


async def test_many_messages_go_in_batches_without_a_pause(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    await add(store, *(f"m{n:03}" for n in range(25)))

    async with running(Relay(store.outbox, wire.publish, clock=clock, batch=10)):
        await eventually(lambda: len(wire.ids) == 25)

    assert [len(batch) for batch in wire.batches] == [10, 10, 5]
    assert wire.ids == sorted(wire.ids)
    assert clock.monotonic() == 0


async def test_cancelled_while_publishing_the_next_run_publishes_the_same(
    running: Running, store: MemoryEventStore, wire: Wire, clock: FakeClock
) -> None:
    hanging = asyncio.Event()

    async def publish_and_hang(messages: Sequence[Message]) -> None:
        await wire.publish(messages)
        hanging.set()
        await asyncio.Event().wait()

    await add(store, "m1", "m2")
    async with running(Relay(store.outbox, publish_and_hang, clock=clock)) as task:
        await hanging.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async with running(Relay(store.outbox, wire.publish, clock=clock)):
        await eventually(lambda: len(wire.ids) == 4)
    assert wire.ids == ["m1", "m2", "m1", "m2"]


@pytest.mark.parametrize("wrong", [{"interval": 0}, {"batch": 0}, {"base_delay": 0}, {"base_delay": 2, "max_delay": 1}])
def test_impossible_settings_are_refused(store: MemoryEventStore, wire: Wire, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Relay(store.outbox, wire.publish, **wrong)  # type: ignore[arg-type]  # each is a float for a float
