"""The relay while the bus, or the store, is down."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest

from cortex_core.eventsourcing import (
    LoggingRelayHooks,
    MemoryEventStore,
    Relay,
    RelayError,
    RelaySettings,
)
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.wires import FakeWire

from .relayed import BusDown, MakeRelay, Outbox, Poisoned, Running, Told


@pytest.fixture
def outbox(clock: FakeClock) -> Outbox:
    return Outbox(MemoryEventStore(clock=clock))


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def make(make_relay: MakeRelay, outbox: Outbox, wire: FakeWire, told: Told) -> Callable[..., Relay]:
    """A relay of this outbox on this wire."""

    def relay(hooks: LoggingRelayHooks | None = told, **settings: float) -> Relay:
        chosen = RelaySettings(**settings)  # type: ignore[arg-type]  # each is a float for a float
        return make_relay(outbox.store, wire, outbox=outbox, settings=chosen, hooks=hooks, rng=random.Random(7))

    return relay


async def test_while_the_bus_is_down_it_waits_longer_and_longer_and_loses_nothing(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told
) -> None:
    await outbox.add("m1", "m2")
    wire.down = BusDown("redis is gone")
    async with running(make(base_delay=0.1, max_delay=5)):
        await eventually(lambda: told.errors)
        for _ in range(12):
            await outbox.add(f"m{len(told.errors) + 2}")  # orders go on being accepted
            await clock.advance(told.errors[-1].delay)
        assert wire.looks >= 12
        assert wire.attempts == 0, "it asks what the bus holds before it goes on"
        wire.down = None
        await clock.advance(5)
        await eventually(lambda: len(wire.ids) == 14)

    errors = told.errors
    ceilings = [min(5, 0.1 * 2 ** (each.attempt - 1)) for each in errors]
    assert [each.attempt for each in errors] == list(range(1, len(errors) + 1))
    assert all(0 <= each.delay <= ceiling for each, ceiling in zip(errors, ceilings, strict=True))
    assert max(each.delay for each in errors) > 1, "it never waited long"
    assert len({round(each.delay / ceiling, 6) for each, ceiling in zip(errors, ceilings, strict=True)}) > 6, (
        "no jitter"
    )
    assert wire.ids == [f"m{n}" for n in range(1, 15)]


async def test_the_first_wait_after_a_recovery_is_short_again(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told
) -> None:
    async with running(make(max_delay=2)):
        for outage in range(2):
            await eventually(lambda: wire.looks > 0)
            wire.down = BusDown("redis is gone")
            await outbox.add(f"m{outage}")
            await eventually(lambda: told.errors and told.errors[-1].attempt == 1)
            await clock.advance(10)
            assert told.errors[-1].attempt > 3
            wire.down = None
            await clock.advance(2)
            await eventually(lambda: wire.ids[-1:] == [f"m{outage}"])  # noqa: B023 - asked within this round only


async def test_new_messages_do_not_shorten_a_back_off(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock
) -> None:
    wire.down = BusDown("redis is gone")
    async with running(make(base_delay=10, max_delay=10)):
        await outbox.add("m1")
        await eventually(lambda: wire.looks == 1)

        for number in range(2, 50):
            await outbox.add(f"m{number}")
            await clock.advance(0)

        assert wire.looks == 1


async def test_the_hook_is_told_what_happened(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, told: Told
) -> None:
    async with running(make()):
        await eventually(lambda: wire.looks)
        wire.down = BusDown("redis is gone")
        await outbox.add("m1", "m2")
        await eventually(lambda: told.errors)

    details = told.errors[0]
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
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told
) -> None:
    await outbox.add("m1")
    wire.down = Poisoned("not a CloudEvent")
    async with running(make()):
        await eventually(lambda: told.errors)
        assert not told.errors[0].retryable
        wire.down = None
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])


@pytest.mark.parametrize(
    ("error", "retryable"), [(ConnectionResetError(), True), (TimeoutError(), True), (TypeError(), False)]
)
def test_errors_of_no_kind_are_judged_too(error: Exception, retryable: bool) -> None:
    assert RelayError("publish", 1, 0.1, 1, error).retryable is retryable


async def test_hooks_that_raise_cost_nothing(
    running: Running,
    make: MakeRelay,
    outbox: Outbox,
    wire: FakeWire,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(LoggingRelayHooks):
        def __getattribute__(self, name: str) -> object:
            def broken(_: object) -> None:
                raise LookupError(f"no such metric: {name}")

            return broken if name.startswith("on_") else super().__getattribute__(name)

    await outbox.add("m1")
    wire.down = BusDown("redis is gone")
    async with running(make(hooks=Broken())):
        await eventually(lambda: wire.looks)
        wire.down = None
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])
        wire.lose(1)
        await clock.advance(10)
        await eventually(lambda: wire.ids == ["m1"])

    for name in ("on_error", "on_backlog", "on_published", "on_loss", "on_repair"):
        assert f"no such metric: {name}" in caplog.text


async def test_without_hooks_trouble_is_logged(
    running: Running,
    make: MakeRelay,
    outbox: Outbox,
    wire: FakeWire,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await outbox.add("m1")
    wire.down = BusDown("redis is gone")
    with caplog.at_level(logging.WARNING):
        async with running(make(hooks=None)):
            await eventually(lambda: "redis is gone" in caplog.text)
            wire.down = None
            await clock.advance(1)
            await eventually(lambda: wire.ids == ["m1"])
            wire.lose(1)
            await clock.advance(10)
            await eventually(lambda: "has lost" in caplog.text and "is repaired" in caplog.text)


async def test_a_publication_whose_answer_was_lost_is_not_made_twice(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told
) -> None:
    wire.deaf = TimeoutError()
    await outbox.add("m1", "m2")
    async with running(make()):
        await eventually(lambda: told.errors)
        wire.deaf = None
        await outbox.add("m3")
        await clock.advance(1)
        await eventually(lambda: len(wire.ids) == 3)

    assert wire.heard == ["m1", "m2", "m3"]
    assert [each.stage for each in told.errors] == ["publish"]
    assert await outbox.count_pending() == 0


async def test_a_batch_that_lacks_only_its_mark_is_not_published_again(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told
) -> None:
    outbox.failing["mark_sent"] = BusDown("disk full")
    await outbox.add("m1")
    async with running(make()):
        await clock.advance(20)
        assert [each.stage for each in told.errors[:3]] == ["mark", "mark", "mark"]
        await outbox.add("m2")
        outbox.failing.clear()
        await clock.advance(5)
        await eventually(lambda: wire.ids == ["m1", "m2"])

    assert wire.heard == ["m1", "m2"]
    assert await outbox.count_pending() == 0


@pytest.mark.parametrize("step", ["pending", "last_batch", "count_pending"])
async def test_a_store_that_cannot_be_read_is_waited_for(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, clock: FakeClock, told: Told, step: str
) -> None:
    outbox.failing[step] = BusDown("locked")
    await outbox.add("m1")
    async with running(make()):
        await eventually(lambda: told.errors)
        assert (told.errors[0].stage, told.errors[0].messages) == ("read", 0)
        outbox.failing.clear()
        await clock.advance(1)
        await eventually(lambda: wire.ids == ["m1"])


@pytest.mark.parametrize("idle", [True, False], ids=["while idle", "while backing off"])
async def test_it_ends_at_once_when_cancelled_and_leaves_nothing_behind(
    running: Running, make: MakeRelay, outbox: Outbox, wire: FakeWire, idle: bool
) -> None:
    if not idle:
        wire.down = BusDown("redis is gone")
    await outbox.add("m1")
    before = asyncio.all_tasks()

    async with running(make()) as task:
        await eventually(lambda: wire.looks)
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), 30)

    assert task.cancelled()
    assert asyncio.all_tasks() == before
    assert outbox.store._outbox._watchers == []
    assert await outbox.store.leases.acquire("relay", "another", 1) is not None, "it gave the lease back"
