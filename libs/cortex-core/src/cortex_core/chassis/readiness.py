"""Whether this replica takes work, as a gauge: what `/health/ready` answers, for those who are not asked by a probe.

A service that waits for its database is up and scraped like any other; without this figure nobody would be told.
"""

from typing import Final

from cortex_core.chassis.platform import Platform
from cortex_core.observability import Status

EVERY: Final = 5.0  # seconds


class Readiness:
    """0 until it was looked at, and from the begin of the drain on. Of several workers the least ready counts."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._gauge = platform.metrics.create_gauge(
            "cortex_hub_ready", "1 where this replica takes work, as /health/ready says", merge="min"
        )
        platform.drain.on_begin(lambda: self._gauge.set(0))

    async def watch(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await self._platform.clock.sleep(EVERY)

    async def look(self) -> None:
        report = await self._platform.health.run()
        self._gauge.set(report.status is not Status.DOWN and not self._platform.drain.begun)
