"""How far this service's group is behind, as gauges: looked at now and then, never on the way of an event.

What was seen last is told until the next look. While the bus is away nothing is told: a lag that nobody can see is
neither 0 nor what it was, and an alert must not be held, or held off, by an old one.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cortex_core.events import BusUnavailable, EventBus, GroupLag
from cortex_core.kernel.clock import Clock
from cortex_core.observability import MetricsCollector

EVERY: Final = 15.0  # seconds


class LagGauges(Collector):
    """The labels are the service's own group and the topics of its tables: bounded by what is written in code. Tenants
    are added up; of their ages the highest counts. Each worker sees the same group for itself."""

    def __init__(self, bus: EventBus, group: str, topics: Collection[str], metrics: MetricsCollector) -> None:
        self._bus: Final = bus
        self._group: Final = group
        self._topics: Final = sorted(topics)
        self._seen: Sequence[GroupLag] | None = None
        metrics.show(self)

    async def watch(self, clock: Clock) -> None:
        """For ever."""
        while True:
            try:
                await self.sample()
            except BusUnavailable:  # its own metrics tell of that
                self._seen = None
            await clock.sleep(EVERY)

    async def sample(self) -> None:
        """Raises BusUnavailable."""
        self._seen = await self._bus.log.lag(self._group)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        by_topic = ("group", "topic")
        entries = GaugeMetricFamily(
            "cortex_bus_lag_entries", "Entries that the group has not acknowledged", labels=by_topic
        )
        seconds = GaugeMetricFamily(
            "cortex_bus_lag_seconds", "Age of the oldest entry that the group has not acknowledged", labels=by_topic
        )
        dead = GaugeMetricFamily(
            "cortex_bus_dead_letters",
            "Events that the group could not take, and nobody has seen to",
            labels=("group",),
        )
        if (seen := self._seen) is not None:
            for name in self._topics:
                topics = [topic for lag in seen for topic in lag.topics if topic.topic == name]
                entries.add_metric((self._group, name), sum(topic.entries for topic in topics))
                seconds.add_metric((self._group, name), max((topic.seconds for topic in topics), default=0.0))
            dead.add_metric((self._group,), sum(lag.dead_letters for lag in seen))
        yield from (entries, seconds, dead)
