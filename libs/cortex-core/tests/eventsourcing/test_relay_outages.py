"""The relay while the bus, or the store, is down."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from cortex_core.eventsourcing import MemoryEventStore, Message, Relay, RelayError
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.testing import FakeClock, eventually

Running = Callable[[Relay], AbstractAsyncContextManager[asyncio.Task[None]]]


class BusDown(CortexError):
    code, kind = "bus.down", Kind.UNAVAILABLE


class Poisoned(CortexError):
    code, kind = "event.malformed", Kind.INVALID


@dataclass
class Wire:
    """What reached the bus, batch by batch. `down` is raised instead, while it is set."""

    batches: list[list[str]] = field(default_factory=list)
    down: Exception | None = None
    attempts: int = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.attempts += 1
        if self.down is not None:
            raise self.down
        self.batches.append([each.id for each in messages])

    @property
    def ids(self) -> list[str]:
        return [each for batch in self.batches for each in batch]


@dataclass
class Outbox:
    """A memory outbox whose steps can be made to fail."""

    store: MemoryEventStore
    failing: dict[str, Exception] = field(default_factory=dict)

    async def pending(self, limit: int) -> list[Message]:
        self._fail("pending")
        return await self.store.outbox.pending(limit)

    async def mark_sent(self, ids: Sequence[str]) -> None:
        self._fail("mark_sent")
        await self.store.outbox.mark_sent(ids)

    async def count_pending(self) -> int:
        return await self.store.outbox.count_pending()

    def watch(self, on_added: Callable[[], None]) -> Callable[[], None]:
        return self.store.outbox.watch(on_added)

    async def add(self, *names: str) -> None:
        async with self.store.transaction() as transaction:
            await self.store.enqueue(transaction, [Message(name, "order", "ord_1", b"{}") for name in names])

    def _fail(self, step: str) -> None:
        if step in self.failing:
            raise self.failing[step]


@pytest.fixture
def outbox(clock: FakeClock) -> Outbox:
    return Outbox(MemoryEventStore(clock=clock))


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_while_the_bus_is_down_it_waits_longer_and_longer_and_loses_nothing(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    told: list[RelayError] = []
    relay = Relay(
        outbox,
        wire.publish,
        clock=clock,
        on_error=told.append,
        interval=1,
        base_delay=0.1,
        max_delay=5,
        rng=random.Random(7),
    )
    await outbox.add("m1", "m2")
    wire.down = BusDown("redis is gone")
    async with running(relay):
        for _ in range(12):
            await eventually(lambda: clock.sleepers)
            await outbox.add(f"m{len(told) + 2}")  # orders go on being accepted
            await clock.advance(told[-1].delay)
        assert wire.attempts >= 12
        wire.down = None
        await clock.advance(5)
        await eventually(lambda: len(wire.ids) == 14)

    ceilings = [min(5, 0.1 * 2 ** (each.attempt - 1)) for each in told]
    assert [each.attempt for each in told] == list(range(1, len(told) + 1))
    assert all(0 <= each.delay <= ceiling for each, ceiling in zip(told, ceilings, strict=True))
    assert max(each.delay for each in told) > 1, "it never waited long"
    assert len({round(each.delay / ceiling, 6) for each, ceiling in zip(told, ceilings, strict=True)}) > 6, "no jitter"
    assert wire.ids == [f"m{n}" for n in range(1, 15)]


async def test_the_first_wait_after_a_recovery_is_short_again(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    told: list[RelayError] = []
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=told.append, max_delay=2)):
        for outage in range(2):
            wire.down = BusDown("redis is gone")
            await outbox.add(f"m{outage}")
            await eventually(lambda: told and told[-1].attempt == 1)
            await clock.advance(10)
            assert told[-1].attempt > 3
            wire.down = None
            await clock.advance(2)
            await eventually(lambda: wire.ids[-1:] == [f"m{outage}"])  # noqa: B023 - asked within this round only


async def test_new_messages_do_not_shorten_a_back_off(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    wire.down = BusDown("redis is gone")
    async with running(Relay(outbox, wire.publish, clock=clock, base_delay=10, max_delay=10, rng=random.Random(7))):
        await outbox.add("m1")
        await eventually(lambda: wire.attempts == 1 and clock.sleepers)

        for number in range(2, 50):
            await outbox.add(f"m{number}")
            await clock.advance(0)

        assert wire.attempts == 1


async def test_the_hook_is_told_what_happened(running: Running, outbox: Outbox, wire: Wire, clock: FakeClock) -> None:
    told: list[RelayError] = []
    await outbox.add("m1", "m2")
    wire.down = BusDown("redis is gone")
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=told.append)):
        await eventually(lambda: told)

    details = told[0]
    assert details.fields() == {
        "stage": "publish",
        "attempt": 1,
        "delay": round(details.delay, 3),
        "messages": 2,
        "error": "BusDown",
        "code": "bus.down",
        "reason": "redis is gone",
        "retryable": True,
    }
    with pytest.raises(FrozenInstanceError):
        details.attempt = 2  # type: ignore[misc]  # that it cannot be done is what is tested


async def test_what_time_cannot_heal_is_told_apart_and_kept(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    told: list[RelayError] = []
    await outbox.add("m1")
    wire.down = Poisoned("not a CloudEvent")
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=told.append)):
        await eventually(lambda: told)
        assert not told[0].retryable
        wire.down = None
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])


@pytest.mark.parametrize(
    ("error", "retryable"), [(ConnectionResetError(), True), (TimeoutError(), True), (TypeError(), False)]
)
def test_errors_of_no_kind_are_judged_too(error: Exception, retryable: bool) -> None:
    assert RelayError("publish", 1, 0.1, 1, error).retryable is retryable


async def test_a_hook_that_raises_costs_nothing(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: RelayError) -> None:
        raise LookupError("no such metric")

    await outbox.add("m1")
    wire.down = BusDown("redis is gone")
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=broken)):
        await eventually(lambda: clock.sleepers)
        wire.down = None
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])

    assert "no such metric" in caplog.text


async def test_without_a_hook_it_is_logged(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await outbox.add("m1")
    wire.down = BusDown("redis is gone")
    with caplog.at_level(logging.WARNING):
        async with running(Relay(outbox, wire.publish, clock=clock)):
            await eventually(lambda: "redis is gone" in caplog.text)


async def test_a_batch_that_lacks_only_its_mark_is_not_published_again(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    told: list[RelayError] = []
    outbox.failing["mark_sent"] = BusDown("disk full")
    await outbox.add("m1")
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=told.append)):
        await clock.advance(20)
        assert [each.stage for each in told[:3]] == ["mark", "mark", "mark"]
        await outbox.add("m2")
        outbox.failing.clear()
        await clock.advance(5)
        await eventually(lambda: wire.ids == ["m1", "m2"])

    assert await outbox.count_pending() == 0


async def test_a_store_that_cannot_be_read_is_waited_for(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock
) -> None:
    told: list[RelayError] = []
    outbox.failing["pending"] = BusDown("locked")
    await outbox.add("m1")
    async with running(Relay(outbox, wire.publish, clock=clock, on_error=told.append)):
        await eventually(lambda: told)
        assert (told[0].stage, told[0].messages) == ("read", 0)
        outbox.failing.clear()
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])


async def test_it_tells_how_many_still_wait(running: Running, outbox: Outbox, wire: Wire, clock: FakeClock) -> None:
    gauge: list[int] = []
    wire.down = BusDown("redis is gone")
    await outbox.add("m1", "m2", "m3")
    async with running(Relay(outbox, wire.publish, clock=clock, batch=2, on_pending=gauge.append)):
        await eventually(lambda: gauge)
        assert set(gauge) == {3}, "while the bus is down is when somebody looks"
        wire.down = None
        await clock.advance(1)
        await eventually(lambda: gauge[-1] == 0)
    assert gauge[-4:] == [3, 1, 1, 0]


@pytest.mark.parametrize("idle", [True, False], ids=["while idle", "while backing off"])
async def test_it_ends_at_once_when_cancelled_and_leaves_nothing_behind(
    running: Running, outbox: Outbox, wire: Wire, clock: FakeClock, idle: bool
) -> None:
    if not idle:
        wire.down = BusDown("redis is gone")
    await outbox.add("m1")
    before = asyncio.all_tasks()

    async with running(Relay(outbox, wire.publish, clock=clock)) as task:
        await eventually(lambda: clock.sleepers)
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), 1)

    assert task.cancelled()
    assert asyncio.all_tasks() == before
    assert outbox.store._outbox._watchers == []
