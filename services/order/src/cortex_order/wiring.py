"""The parts of the order service, put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from cortex_core.chassis import Platform, create_app, relaying
from cortex_core.events import EventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.kernel import Clock
from cortex_core.resilience import RetryDetails, RetryExecutor
from cortex_order import api
from cortex_order.adapters.backoff import JitteredBackoff
from cortex_order.adapters.payments import HttpPayments, RetryingPayments
from cortex_order.adapters.processing import Processing
from cortex_order.adapters.sql import SqlOrders, SqlSettlement
from cortex_order.ports import Payments
from cortex_order.settings import Settings
from cortex_order.usecases import GetOrder, ListOrders, PlaceOrder, ProcessOrder, UseCases

MIGRATIONS: Final = Path(__file__).parent / "migrations"
BACKOFF: Final = JitteredBackoff(base=0.5, limit=5.0)


@asynccontextmanager
async def running(
    platform: Platform, settings: Settings, *, payments: Payments | None = None
) -> AsyncIterator[UseCases]:
    """Opens what the service stands on, closes it in reverse. Tests pass fakes for what they replace."""
    clock = platform.clock
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_event_store(
                settings.database_url,
                clock=clock,
                migrations=[MIGRATIONS],
                migrate=settings.env != "production",
            )
        )
        platform.health.register("database", store.check)
        await stack.enter_async_context(relaying(store.outbox, platform))

        orders, settlement = SqlOrders(store, clock), SqlSettlement(store, clock)
        payments = payments or http_payments(platform, settings)
        process = ProcessOrder(orders, payments, settlement, clock, timedelta(seconds=settings.payment_wait), BACKOFF)
        processing = make_processing(platform, settings, settlement, process)
        await settlement.resume()
        await stack.enter_async_context(platform.tasks.during(processing.run, "processing"))
        stack.push_async_callback(processing.drain, settings.drain)

        yield UseCases(
            place=PlaceOrder(orders, clock, processing.wake), get=GetOrder(orders), listing=ListOrders(orders)
        )


def http_payments(platform: Platform, settings: Settings) -> Payments:
    """The provider, asked again where that can help."""

    def on_retry(details: RetryDetails) -> None:
        retries.inc()
        code = getattr(details.error, "code", type(details.error).__name__)
        platform.logger.info("payment is tried again", attempt=details.attempt, delay=details.delay, error=code)

    retries = platform.metrics.create_counter("cortex_hub_payment_retries_total", "Calls of the provider made again")
    retry = RetryExecutor(
        settings.payment_attempts,
        settings.payment_retry_delay,
        clock=platform.clock,
        on_retry=on_retry,
    )
    return RetryingPayments(HttpPayments(platform.http, settings.payment_url, timeout=settings.payment_timeout), retry)


def make_processing(
    platform: Platform, settings: Settings, settlement: SqlSettlement, process: ProcessOrder
) -> Processing:
    """The loop over the list of work."""
    put_off = platform.metrics.create_counter(
        "cortex_hub_orders_put_off_total", "Orders whose processing failed here and is tried again", ("code",)
    )
    return Processing(
        settlement,
        process,
        limit=settings.concurrency,
        backoff=BACKOFF,
        clock=platform.clock,
        tracer=platform.tracer,
        logger=platform.logger,
        put_off=put_off,
    )


def build(settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None, **fakes: Any) -> FastAPI:
    return create_app(
        settings,
        running=lambda platform: running(platform, settings, **fakes),
        routers=[api.router],
        bus_required=False,  # events wait in the outbox: an order needs the database, not the bus
        clock=clock,
        bus=bus,
        description="Event-sourced orders and their payment. Acknowledged means durable.",
    )
