"""What was kept for long enough goes, a little at a time; nothing else does."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from cortex_core.eventsourcing import (
    TRIM,
    EventStoreUnavailable,
    Leadership,
    MemoryEventStore,
    Message,
    OnTrim,
    TrimDetails,
    Trimming,
    TrimSettings,
)
from cortex_core.testing import FakeClock

DAY = 86_400.0


@dataclass
class Bus:
    """The number of the newest batch it holds; raises instead while `down`."""

    number: int = 1_000_000
    down: Exception | None = None

    async def has(self) -> int:
        if self.down is not None:
            raise self.down
        return self.number


@dataclass
class Told:
    details: list[TrimDetails] = field(default_factory=list)

    def __call__(self, details: TrimDetails, /) -> None:
        self.details.append(details)

    @property
    def sent(self) -> list[int]:
        return [each.sent for each in self.details if each.sent]

    @property
    def seen(self) -> list[int]:
        return [each.seen for each in self.details if each.seen]


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def told() -> Told:
    return Told()


def trimming(store: MemoryEventStore, bus: Bus, clock: FakeClock, told: OnTrim | None, **settings: Any) -> Trimming:
    leadership = Leadership(store.leases, TRIM, clock=clock)
    return Trimming(
        store.outbox,
        store.inbox,
        leadership,
        bus.has,
        settings=TrimSettings(**{"pause": 0.0, **settings}),
        clock=clock,
        on_trim=told,
    )


async def fill(store: MemoryEventStore, prefix: str, *, messages: int, batch: int = 1) -> None:
    """Sent messages in one batch, and as many marks in the inbox."""
    names = [f"{prefix}{n}" for n in range(messages)]
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])
        for name in names:
            assert await store.inbox.once(transaction, "c", name)
    await store.outbox.mark_sent(names, batch)


async def kept(store: MemoryEventStore) -> list[str]:
    found = await store.outbox.sent_after(0, 1_000)
    return [each.id for each in found.messages] if found else []


async def test_what_is_old_goes_in_portions_and_the_rest_stays(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told
) -> None:
    await fill(store, "old", messages=7)
    await clock.advance(31 * DAY)
    await fill(store, "new", messages=2, batch=2)

    await trimming(store, bus, clock, told, portion=3).once()

    assert (told.sent, told.seen) == ([3, 3, 1], [3, 3, 1])
    assert await kept(store) == ["new0", "new1"]
    assert await store.inbox.trim(clock.now() + timedelta(1), limit=10) == 2


async def test_marks_of_the_inbox_stay_longer_than_messages(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told
) -> None:
    await fill(store, "m", messages=2)
    await clock.advance(8 * DAY)

    await trimming(store, bus, clock, told).once()

    assert (told.sent, told.seen) == ([2], [])


async def test_what_the_bus_does_not_show_stays(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told
) -> None:
    await fill(store, "a", messages=1, batch=1)
    await fill(store, "b", messages=1, batch=2)
    await clock.advance(31 * DAY)

    bus.number = 0
    await trimming(store, bus, clock, told).once()
    assert await kept(store) == ["a0", "b0"]

    bus.number = 1
    await trimming(store, bus, clock, told).once()
    assert await kept(store) == ["b0"]


async def test_while_the_bus_is_down_only_the_inbox_is_trimmed(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told
) -> None:
    await fill(store, "m", messages=2)
    await clock.advance(31 * DAY)
    bus.down = ConnectionError("gone")

    await trimming(store, bus, clock, told).once()

    assert (told.sent, told.seen, told.details[-1].error) == ([], [2], bus.down)
    assert await kept(store) == ["m0", "m1"]


async def test_it_comes_again_each_time_and_not_before(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told
) -> None:
    task = asyncio.create_task(trimming(store, bus, clock, told, every=600, sent=timedelta(seconds=60)).run())
    await fill(store, "a", messages=1)
    await clock.advance(599)
    assert told.details == []
    await clock.advance(1)
    assert told.sent == [1]
    await fill(store, "b", messages=1, batch=2)
    await clock.advance(600)
    assert told.sent == [1, 1]
    task.cancel()
    await asyncio.wait([task])


async def test_replicas_take_turns(store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told) -> None:
    await fill(store, "m", messages=4)
    await clock.advance(31 * DAY)
    other = await store.leases.acquire(TRIM, "another", 60)
    assert other is not None

    waiting = asyncio.create_task(trimming(store, bus, clock, told).once())
    await clock.advance(30)
    assert told.details == []
    await store.leases.release(other)
    await clock.advance(5)
    await waiting

    assert told.sent == [4]


async def test_trouble_is_told_and_the_next_time_comes(
    store: MemoryEventStore, bus: Bus, clock: FakeClock, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    bus.down = EventStoreUnavailable("disk full")
    with caplog.at_level(logging.WARNING):
        await trimming(store, bus, clock, None).once()
    assert "disk full" in caplog.text

    def broken(_: TrimDetails) -> None:
        raise LookupError("no such metric")

    await trimming(store, bus, clock, broken).once()
    assert "no such metric" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"sent": timedelta(0)},
        {"every": 0},
        {"portion": 0},
        {"pause": -1},
        {"sent": timedelta(30), "seen": timedelta(30)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        TrimSettings(**wrong)
