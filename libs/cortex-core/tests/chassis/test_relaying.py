"""The outbox joined to the bus: what reaches it, and what the service tells about it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from cortex_core.chassis import Config, Platform, make_platform, relaying, trimming
from cortex_core.chassis.relaying import LATE, BusWire
from cortex_core.events import MAX_EVENT_SIZE, BusUnavailable, CloudEvent, Marker, MemoryEventBus
from cortex_core.eventsourcing import RELAY, MemoryEventStore, Message, tenure
from cortex_core.eventsourcing.records import MAX_MESSAGE
from cortex_core.testing import FakeClock, eventually

FIRST = tenure.BATCHES_AN_EPOCH + 1


class Bus(MemoryEventBus):
    """Remembers what was published; can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.ids: list[str] = []

    async def publish(self, events: Any, *, marker: Marker | None = None) -> None:
        await self.check()
        await super().publish(events, marker=marker)
        self.ids += [event.id for event in events]

    async def marker(self, name: str) -> int | None:
        await self.check()
        return await super().marker(name)

    async def check(self) -> None:
        if self.down:
            raise BusUnavailable("it is down")

    def forget(self) -> None:
        self._markers.clear()
        self.ids.clear()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def store(clock: FakeClock) -> MemoryEventStore:
    return MemoryEventStore(clock=clock)


@pytest.fixture
def platform(clock: FakeClock, bus: Bus) -> Platform:
    return make_platform(Config(env="test", lease_ttl=60.0), clock=clock, bus=bus)


@pytest.fixture
def figure(platform: Platform) -> Callable[..., float | None]:
    def read(name: str, **labels: str) -> float | None:
        return platform.metrics.registry.get_sample_value(name, labels)

    return read


Figure = Callable[..., float | None]


async def add(store: MemoryEventStore, *ids: str) -> None:
    events = [CloudEvent.about("order.created", source="/t", subject="ord_1", data={}, id=each) for each in ids]
    async with store.transaction() as transaction:
        await store.enqueue(transaction, [Message(each.id, "order", "ord_1", each.to_json()) for each in events])


@asynccontextmanager
async def running(store: MemoryEventStore, platform: Platform) -> AsyncIterator[None]:
    async with relaying(store, platform) as relay:
        await eventually(lambda: relay.leads)
        yield


async def health(platform: Platform) -> dict[str, Any]:
    details = (await platform.health.run()).checks["relay"].to_dict()
    return {name: value for name, value in details.items() if name != "durationMs"}


async def test_what_waits_reaches_the_bus_with_the_services_own_marker(
    store: MemoryEventStore, platform: Platform, bus: Bus, figure: Figure
) -> None:
    await add(store, "e1", "e2")
    async with running(store, platform):
        await eventually(lambda: bus.ids == ["e1", "e2"])
        await eventually(lambda: figure("cortex_relay_messages_total") == 2)
        assert await bus.marker("service") == FIRST
        assert figure("cortex_relay_leader") == 1
        assert await health(platform) == {"status": "up", "leader": True, "pending": 0, "oldestSeconds": 0.0}


async def test_while_the_bus_is_down_it_tells_how_much_waits_and_for_how_long(
    store: MemoryEventStore, platform: Platform, bus: Bus, clock: FakeClock, figure: Figure
) -> None:
    async with running(store, platform):
        bus.down = True
        await add(store, "e1", "e2", "e3")
        await clock.advance(30)

        assert figure("cortex_hub_outbox_pending") == 3
        assert 20 < (figure("cortex_hub_outbox_oldest_seconds") or 0) <= 30
        assert (await health(platform))["pending"] == 3
        bus.down = False
        await clock.advance(10)
        await eventually(lambda: figure("cortex_hub_outbox_pending") == 0)
        assert figure("cortex_hub_outbox_oldest_seconds") == 0


async def test_a_bus_that_lost_everything_is_repaired_and_that_is_counted(
    store: MemoryEventStore, platform: Platform, bus: Bus, clock: FakeClock, figure: Figure
) -> None:
    async with running(store, platform):
        await add(store, "e1", "e2")
        await eventually(lambda: figure("cortex_relay_messages_total") == 2)
        bus.forget()
        await clock.advance(10)
        await eventually(lambda: bus.ids == ["e1", "e2"])

    assert (figure("cortex_relay_losses_total"), figure("cortex_relay_repaired_total")) == (1, 2)


async def test_a_follower_tells_no_figures_but_that_it_follows(
    store: MemoryEventStore, platform: Platform, bus: Bus, figure: Figure
) -> None:
    await store.leases.acquire(RELAY, "another", 60)
    await add(store, "e1")
    async with relaying(store, platform):
        await asyncio.sleep(0)
        assert await health(platform) == {"status": "up", "leader": False}
        assert (figure("cortex_relay_leader"), figure("cortex_hub_outbox_pending")) == (0, 0)
    assert bus.ids == []


async def test_a_relay_that_cannot_deliver_is_degraded_and_counts_why(
    store: MemoryEventStore, platform: Platform, bus: Bus, clock: FakeClock, figure: Figure
) -> None:
    async with running(store, platform):
        await eventually(lambda: figure("cortex_hub_outbox_pending") == 0)
        assert (await health(platform))["status"] == "up"
        bus.down = True
        await add(store, "e1")
        await eventually(lambda: figure("cortex_relay_errors_total", stage="publish"))

        assert (await health(platform))["status"] == "degraded"
        bus.down = False
        await clock.advance(10)
        await eventually(lambda: bus.ids == ["e1"])
        await eventually(lambda: figure("cortex_hub_outbox_pending") == 0)
        assert (await health(platform))["status"] == "up"


async def test_a_bus_that_is_away_is_told_with_the_setting_it_hangs_on(
    store: MemoryEventStore, platform: Platform, bus: Bus, figure: Figure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever loop meets it: a service that subscribes to nothing has this one alone."""
    bus.down = True
    async with running(store, platform):
        await eventually(lambda: figure("cortex_relay_errors_total", stage="look"))

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["setting"] for line in lines if line["event"] == "relay waits"] == ["CORTEX_REDIS_URL"]


async def test_messages_that_are_late_degrade_where_nothing_fails(
    store: MemoryEventStore, platform: Platform, bus: Bus, clock: FakeClock, figure: Figure
) -> None:
    """A publication that hangs raises nothing."""

    async def hangs(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    bus.publish = hangs  # type: ignore[method-assign,assignment]  # a broker that no longer answers
    async with running(store, platform):
        await add(store, "e1")
        await clock.advance(LATE)
        in_time = await health(platform)
        await clock.advance(0.5)
        late = await health(platform)

    assert figure("cortex_relay_errors_total", stage="publish") is None
    assert in_time == {"status": "up", "leader": True, "pending": 1, "oldestSeconds": LATE}
    assert late == {"status": "degraded", "leader": True, "pending": 1, "oldestSeconds": LATE + 0.5}


async def test_messages_that_nobody_relays_degrade_whoever_is_asked(
    store: MemoryEventStore, platform: Platform, clock: FakeClock
) -> None:
    await store.leases.acquire(RELAY, "one that was stopped", 60)
    await add(store, "e1")
    async with relaying(store, platform):
        await clock.advance(LATE + 1)

        assert await health(platform) == {"status": "degraded", "leader": False}


async def test_at_the_end_the_last_events_go_and_the_lease_is_free(
    store: MemoryEventStore, platform: Platform, bus: Bus, figure: Figure
) -> None:
    async with running(store, platform):
        await add(store, *(f"e{n}" for n in range(450)))

    assert len(bus.ids) == 450
    assert figure("cortex_relay_leader") == 0
    assert await store.leases.acquire(RELAY, "another", 60) is not None


async def test_trouble_with_the_lease_is_logged(
    store: MemoryEventStore, platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    async def failing(*_: Any) -> None:
        raise OSError("gone")

    store.leases.acquire = failing  # type: ignore[method-assign,assignment]  # a store that has gone
    async with relaying(store, platform):
        await eventually(lambda: "trouble with a lease" in capsys.readouterr().out)


async def test_what_is_old_is_trimmed_and_counted(
    store: MemoryEventStore, platform: Platform, bus: Bus, clock: FakeClock, figure: Figure
) -> None:
    async with running(store, platform):
        await add(store, "e1", "e2")
        await eventually(lambda: figure("cortex_relay_messages_total") == 2)
        store.outbox._sent = {  # type: ignore[attr-defined]  # as if a week had passed since
            each: type(sent)(sent.message, sent.at - timedelta(days=7, seconds=1), sent.batch)
            for each, sent in store.outbox._sent.items()  # type: ignore[attr-defined]  # as above
        }
        await clock.advance(601)
        await eventually(lambda: figure("cortex_relay_trimmed_total", table="outbox") == 2)


async def test_a_service_that_only_hears_forgets_what_it_heard_long_ago(
    store: MemoryEventStore, platform: Platform, clock: FakeClock, figure: Figure
) -> None:
    async with store.transaction() as transaction:
        assert await store.inbox.once(transaction, "c", "e1")
    await clock.advance(31 * 86_400)
    async with trimming(store, platform):
        await clock.advance(601)
        await eventually(lambda: figure("cortex_relay_trimmed_total", table="inbox") == 1)


async def test_the_wire_says_where_the_marker_stands(bus: Bus) -> None:
    wire = BusWire(bus, "order")
    event = CloudEvent.about("order.created", source="/t", subject="ord_1", data={})
    message = Message(event.id, "order", "ord_1", event.to_json())

    assert await wire.last() == 0
    assert await wire.publish([message], 5, after=4) == 0
    assert await wire.publish([message], 5, after=0) == 5
    assert await wire.publish([message], 6, after=4) == 5
    assert (bus.ids, await wire.last()) == ([event.id], 5)
    assert await BusWire(bus, "storage").last() == 0


@pytest.mark.parametrize(
    ("outbox_days", "bus_days", "inbox_days"), [(30.0, 0.001, 30.0), (7.0, 23.0, 30.0), (7.0, 60.0, 30.0)]
)
def test_days_that_would_let_a_repair_repeat_effects_are_refused(
    outbox_days: float, bus_days: float, inbox_days: float
) -> None:
    with pytest.raises(
        ValueError, match="CORTEX_INBOX_DAYS must be more than CORTEX_OUTBOX_DAYS and CORTEX_BUS_KEEP together"
    ):
        Config(env="test", outbox_days=outbox_days, bus_keep=bus_days * 86_400, inbox_days=inbox_days)


def test_days_that_are_just_enough_are_accepted() -> None:
    assert Config(env="test", outbox_days=7.0, bus_keep=22.9 * 86_400, inbox_days=30.0).inbox_days == 30.0


def test_the_store_takes_no_message_that_the_bus_refuses() -> None:
    assert MAX_MESSAGE == MAX_EVENT_SIZE
