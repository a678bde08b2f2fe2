"""Projections of a service: run as long as it does, with the same metrics, log lines and health in every service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from cortex_core.chassis.platform import Platform
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.observability.health import Status

if TYPE_CHECKING:
    from cortex_core.eventsourcing import EventStore, Progress, Projection, ProjectionTrouble, Projector

LATE: Final = 10.0
"""Seconds behind, from which on a projection is reported as degraded."""


class ProjectionReporter:
    """What projectors tell becomes metrics and log lines. Gauges are of the live generation."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        by_name = ("projection",)
        self._positions = metrics.create_gauge(
            "cortex_projection_lag_positions", "Positions up to the newest event", by_name, merge="max"
        )
        self._seconds = metrics.create_gauge(
            "cortex_projection_lag_seconds", "Age of the oldest event not applied yet", by_name, merge="max"
        )
        self._parked = metrics.create_gauge("cortex_projection_parked", "Streams set aside", by_name, merge="max")
        self._events = metrics.create_counter(
            "cortex_projection_events_total", "Events applied", ("projection", "stage")
        )
        self._troubles = metrics.create_counter(
            "cortex_projection_troubles_total", "Rounds that failed, and streams parked", ("projection", "code")
        )

    def on_progress(self, progress: "Progress", /) -> None:
        stage = progress.stage.value
        self._events.labels(projection=progress.projection, stage=stage).inc(progress.events)
        if stage == "live":
            self._positions.labels(projection=progress.projection).set(progress.lag)
            self._seconds.labels(projection=progress.projection).set(progress.behind)
            self._parked.labels(projection=progress.projection).set(progress.parked)

    def on_trouble(self, details: "ProjectionTrouble", /) -> None:
        self._troubles.labels(projection=details.projection, code=details.code).inc()
        if details.attempt in {1, 10, 100} or details.attempt % 1000 == 0:  # one story, not a thousand
            self._logger.warning("projection in trouble", **details.fields())


def projector_of(store: "EventStore[Any]", projection: "Projection[Any]", platform: Platform) -> "Projector[Any]":
    """Told to the platform's metrics and log. A stream with an event that cannot be applied is set aside, so that one
    aggregate's broken row is that aggregate's trouble and no other's."""
    from cortex_core.eventsourcing import Projector  # late: a service without a database has no use for it

    reporter = ProjectionReporter(platform.metrics, platform.logger)
    return Projector(
        store,
        projection,
        clock=platform.clock,
        on_progress=reporter.on_progress,
        on_trouble=reporter.on_trouble,
        poison="park",
    )


@asynccontextmanager
async def projecting(projector: "Projector[Any]", platform: Platform) -> AsyncIterator[None]:
    """While the block runs, the projection is kept up. It has a place in the health report, which it can degrade."""

    async def check() -> Mapping[str, Any]:
        status = await projector.status()
        live = status.live
        parked = len(status.parked.get(live.generation, ())) if live else 0
        late = projector.troubled or parked or status.behind > LATE
        return {
            "status": Status.DEGRADED if late else Status.UP,
            "generation": live.generation if live else None,
            "position": live.position if live else None,
            "lag": status.lag,
            "lagSeconds": round(status.behind, 3),
            "parked": parked,
            "building": [each.generation for each in status.generations if each.stage == "building"],
        }

    platform.health.register(f"projection {projector.name}", check, critical=False)
    async with platform.tasks.during(projector.run, f"projection {projector.name}"):
        yield
