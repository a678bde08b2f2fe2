"""The composition root."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from cortex_analytics import api
from cortex_analytics.adapters.exposition import PrometheusExposition
from cortex_analytics.adapters.sql import SqlLedger
from cortex_analytics.consumers import CONSUMERS
from cortex_analytics.ports import Ledger
from cortex_analytics.settings import Settings
from cortex_analytics.usecases import (
    CountCancellation,
    CountCompletion,
    CountCreation,
    CountFailure,
    ExportMetrics,
    ShowFigures,
    UseCases,
)
from cortex_core.chassis import Platform, create_app, exporting, trimming
from cortex_core.events import EventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.kernel import Clock

MIGRATIONS: Final = Path(__file__).parent / "migrations"


@asynccontextmanager
async def running(platform: Platform, settings: Settings, *, ledger: Ledger | None = None) -> AsyncIterator[UseCases]:
    """Opens what the service stands on, closes it in reverse. Tests pass a ledger of their own."""
    async with AsyncExitStack() as stack:
        if ledger is None:
            ledger = await stack.enter_async_context(sql_ledger(platform, settings))
        export = ExportMetrics(ledger, PrometheusExposition(platform.metrics))
        if settings.exporter_port:
            serves = await stack.enter_async_context(
                exporting(
                    export,
                    host=settings.exporter_host,
                    port=settings.exporter_port,
                    variable=settings.variable("exporter_port"),
                    logger=platform.logger,
                    shared=settings.server_workers > 1,
                )
            )
            platform.health.register("exporter", serves, critical=False)
        yield UseCases(
            count_creation=CountCreation(ledger),
            count_completion=CountCompletion(ledger),
            count_failure=CountFailure(ledger),
            count_cancellation=CountCancellation(ledger),
            show=ShowFigures(ledger),
            export=export,
        )


@asynccontextmanager
async def sql_ledger(platform: Platform, settings: Settings) -> AsyncIterator[Ledger]:
    """The figures' database, which the service cannot do without."""
    store = open_event_store(
        settings.database_url,
        clock=platform.clock,
        migrations=[MIGRATIONS],
        migrate=settings.env != "production",
    )
    async with store as opened:
        platform.health.register("database", opened.check)
        async with trimming(opened, platform):
            yield SqlLedger(opened)


def build(
    settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None, ledger: Ledger | None = None
) -> FastAPI:
    return create_app(
        settings,
        running=lambda platform: running(platform, settings, ledger=ledger),
        routers=[api.router],
        consumers=CONSUMERS,
        clock=clock,
        bus=bus,
        description="Figures from events, as JSON and for Prometheus.",
    )
