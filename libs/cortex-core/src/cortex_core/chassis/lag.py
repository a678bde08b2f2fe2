"""How far this service's group is behind, as gauges: looked at now and then, never on the way of an event."""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from cortex_core.events import BusUnavailable, EventBus
from cortex_core.kernel.clock import Clock
from cortex_core.observability import MetricsCollector

EVERY: Final = 15.0  # seconds


class LagGauges:
    """The labels are the service's own group and the topics of its tables: bounded by what is written in code. Tenants
    are added up; of their ages the highest counts."""

    def __init__(self, bus: EventBus, group: str, topics: Collection[str], metrics: MetricsCollector) -> None:
        self._bus: Final = bus
        self._group: Final = group
        self._topics: Final = frozenset(topics)
        self._entries: Final = metrics.create_gauge(
            "cortex_bus_lag_entries", "Entries that the group has not acknowledged", ("group", "topic"), merge="max"
        )
        self._seconds: Final = metrics.create_gauge(
            "cortex_bus_lag_seconds",
            "Age of the oldest entry that the group has not acknowledged",
            ("group", "topic"),
            merge="max",
        )
        self._dead: Final = metrics.create_gauge(
            "cortex_bus_dead_letters",
            "Events that the group could not take, and nobody has seen to",
            ("group",),
            merge="max",
        )

    async def watch(self, clock: Clock) -> None:
        """For ever. While the bus is away the gauges stay as they were; its own metrics tell of that."""
        while True:
            with suppress(BusUnavailable):
                await self.sample()
            await clock.sleep(EVERY)

    async def sample(self) -> None:
        """Raises BusUnavailable."""
        lags = await self._bus.log.lag(self._group)
        for name in self._topics:
            topics = [topic for lag in lags for topic in lag.topics if topic.topic == name]
            labels = {"group": self._group, "topic": name}
            self._entries.labels(**labels).set(sum(topic.entries for topic in topics))
            self._seconds.labels(**labels).set(max((topic.seconds for topic in topics), default=0.0))
        self._dead.labels(group=self._group).set(sum(lag.dead_letters for lag in lags))
