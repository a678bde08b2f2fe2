"""How far a service's group is behind, as its metrics tell it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cortex_contracts import CATALOG, OrderCreated
from cortex_core.chassis import Config, Platform, consume, create_app, hear, on
from cortex_core.chassis.assembly import make_platform
from cortex_core.chassis.lag import EVERY, LagGauges
from cortex_core.events import BusUnavailable, ConsumerPolicy, MemoryEventBus
from cortex_core.events.redis import RedisEventBus
from cortex_core.observability import MetricsCollector
from cortex_core.testing import FakeClock, RedisServer, eventually, serving
from cortex_core.testing.contracts.bus import Impossible, order_event
from cortex_core.testing.contracts.bus.tools import dead


async def hangs(_: object) -> None:
    await asyncio.Event().wait()


async def test_tenants_are_added_up_and_the_oldest_entry_counts() -> None:
    clock, metrics = FakeClock(), MetricsCollector()
    bus = MemoryEventBus(clock=clock, drain=0)
    await bus.publish([order_event(0, tenant="acme")])
    await clock.advance(30)
    await bus.publish([order_event(1), order_event(2)])
    await bus.consume("analytics", ["order"], hangs)

    await LagGauges(bus, "analytics", ["order", "file"], metrics).sample()

    assert metrics.value("cortex_bus_lag_entries", group="analytics", topic="order") == 3
    assert metrics.value("cortex_bus_lag_seconds", group="analytics", topic="order") == 30
    assert metrics.value("cortex_bus_lag_entries", group="analytics", topic="file") == 0
    assert metrics.value("cortex_bus_dead_letters", group="analytics") == 0
    await bus.aclose()


async def test_dead_letters_are_counted_and_another_groups_are_not() -> None:
    metrics, bus = MetricsCollector(), MemoryEventBus()

    async def refuses(_: object) -> None:
        raise Impossible("no")

    for group in ("analytics", "other"):
        await bus.consume(group, ["order"], refuses, ConsumerPolicy(attempts=1))
    await bus.publish([order_event(0), order_event(1, tenant="acme")])
    await eventually(lambda: dead(bus, "analytics", 2))

    await LagGauges(bus, "analytics", ["order"], metrics).sample()

    assert metrics.value("cortex_bus_dead_letters", group="analytics") == 2
    assert metrics.value("cortex_bus_dead_letters", group="other") is None
    await bus.aclose()


async def test_while_the_bus_is_away_nobody_tells_a_lag_and_the_watch_goes_on() -> None:
    clock, metrics = FakeClock(), MetricsCollector()
    bus = Away(clock)
    await bus.publish([order_event(0)])
    await bus.consume("analytics", ["order"], hangs)
    watch = asyncio.create_task(LagGauges(bus, "analytics", ["order"], metrics).watch(clock))

    await eventually(lambda: entries(metrics) == 1)
    bus.away = True
    await bus.publish([order_event(1)])
    await clock.advance(EVERY)
    assert bus.asked_in_vain == 1
    assert told(metrics) == set()
    bus.away = False
    await clock.advance(EVERY)

    await eventually(lambda: entries(metrics) == 2)
    watch.cancel()
    await bus.aclose()


async def test_of_a_redis_that_hangs_no_lag_is_told_until_it_answers_again(
    redis_server: RedisServer, redis_url: str
) -> None:
    clock, metrics = FakeClock(), MetricsCollector()
    async with aclosing(RedisEventBus(redis_url, timeout=0.5)) as bus:
        await bus.publish([order_event(0)])
        await bus.consume("analytics", ["order"], hangs)
        watch = asyncio.create_task(LagGauges(bus, "analytics", ["order"], metrics).watch(clock))
        await eventually(lambda: entries(metrics) == 1)

        redis_server.send_signal(signal.SIGSTOP)
        try:
            await clock.advance(EVERY)
            await eventually(lambda: told(metrics) == set())
        finally:
            redis_server.send_signal(signal.SIGCONT)

        await clock.advance(EVERY)
        await eventually(lambda: entries(metrics) == 1)
        watch.cancel()


def entries(metrics: MetricsCollector) -> float | None:
    return metrics.value("cortex_bus_lag_entries", group="analytics", topic="order")


def told(metrics: MetricsCollector) -> set[str]:
    """The lines about the bus' lag, without what they are about."""
    lines = metrics.to_prometheus_format().splitlines()
    return {line for line in lines if line.startswith(("cortex_bus_lag_", "cortex_bus_dead_"))}


class Away(MemoryEventBus):
    """A bus whose log does not always answer."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock, drain=0)
        self.away = False
        self.asked_in_vain = 0

    @property
    def log(self) -> Any:
        if self.away:
            self.asked_in_vain += 1
            raise BusUnavailable("away")
        return super().log


@dataclass(frozen=True)
class CountOrder:
    counted: list[Any] = field(default_factory=list)

    async def __call__(self, event: Any) -> None:
        self.counted.append(event)


@dataclass(frozen=True)
class UseCases:
    count: CountOrder


async def test_a_service_with_a_group_shows_its_lag_and_one_without_does_not() -> None:
    @asynccontextmanager
    async def running(platform: Platform) -> AsyncIterator[UseCases]:
        yield UseCases(CountOrder())

    texts = []
    for make in (consume, hear):
        table = make(on(OrderCreated, CountOrder), catalog=CATALOG)
        app = create_app(
            Config(env="test"), running=running, routers=[], consumers=table, bus=MemoryEventBus(), clock=FakeClock()
        )
        async with serving(app) as client:
            await asyncio.sleep(0.02)
            async with client.get("/metrics") as reply:
                texts.append(await reply.text())

    assert 'cortex_bus_lag_entries{group="service",topic="order"} 0.0' in texts[0]
    assert "cortex_bus_lag_entries" not in texts[1]


def test_how_long_the_bus_keeps_its_logs_is_a_setting(monkeypatch: Any) -> None:
    monkeypatch.setenv("CORTEX_BUS_KEEP", "3600")
    monkeypatch.setenv("CORTEX_BUS_KEEP_DEAD", "7200")

    platform = make_platform(Config(env="test"))

    retention = platform.bus._trimmer._retention  # type: ignore[attr-defined]
    assert (retention.keep, retention.keep_dead) == (3600, 7200)
