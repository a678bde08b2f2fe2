"""The parts of the order service, put together."""

import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from cortex_core.actors import ActorSystem
from cortex_core.chassis import Platform, Resilience, create_app, projecting, projector_of, relaying
from cortex_core.chassis.actor_reporter import ActorReporter
from cortex_core.events import EventBus
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.kernel import Clock
from cortex_core.observability import Logger
from cortex_core.resilience import CompositePolicy
from cortex_order import api
from cortex_order.adapters.actors import ActorOrders
from cortex_order.adapters.backoff import JitteredBackoff
from cortex_order.adapters.history import SqlHistory
from cortex_order.adapters.idempotency import Pruning, SqlKeys
from cortex_order.adapters.listing import OrderListing, SqlOrderList
from cortex_order.adapters.observed import ObservedHistory, ObservedOrders, OrderReporter
from cortex_order.adapters.payments import GuardedPayments, HttpPayments, is_worth_it
from cortex_order.adapters.processing import Processing
from cortex_order.adapters.settlements import SqlSettlement
from cortex_order.adapters.sql import SqlOrders
from cortex_order.ports import Payments, Wanted
from cortex_order.settings import Settings
from cortex_order.usecases import (
    CancelOrder,
    CarryOut,
    GetOrder,
    GetOrderAt,
    IsProcessing,
    ListOrders,
    Patience,
    PlaceOnce,
    PlaceOrder,
    ProcessOrder,
    TellHistory,
    UseCases,
)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
ORDER_LIST: Final = OrderListing()
PROJECTIONS: Final = (ORDER_LIST,)
LIST_PATIENCE: Final = 1.0  # seconds: a list that cannot follow within that is answered as it is
BACKOFF: Final = JitteredBackoff(base=0.5, limit=5.0)
TROUBLE: Final = JitteredBackoff(base=0.5, limit=60.0)  # an order that cannot be read is looked at ever less often
LONGEST_RETRY: Final = 5.0  # seconds between two attempts in one go; asked to wait longer, an order is put off


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
        await stack.enter_async_context(relaying(store, platform))
        listing = projector_of(store, ORDER_LIST, platform)
        await stack.enter_async_context(projecting(listing, platform))

        reporter = OrderReporter(platform.tracer, platform.metrics, platform.logger, clock)
        orders = ObservedOrders(SqlOrders(store, clock), reporter)
        history = ObservedHistory(SqlHistory(store), reporter)
        settlement = SqlSettlement(store, clock, holder=holder(settings))
        actors = ActorSystem("order", clock=clock, hooks=ActorReporter(platform.metrics, platform.logger).hooks)
        commands = ActorOrders(actors, CarryOut(orders, clock), idle=settings.passivate, max_active=settings.active)
        stack.push_async_callback(drain, actors, settings.drain, platform.logger)

        payments = payments or http_payments(platform, settings, IsProcessing(orders))
        process = ProcessOrder(commands, orders, payments, settlement, clock, patience(settings))
        processing = make_processing(platform, settings, settlement, process)
        await settlement.release()
        await stack.enter_async_context(platform.tasks.during(processing.run, "processing"))
        stack.push_async_callback(processing.drain, settings.drain)

        keys, place = SqlKeys(store, clock), PlaceOrder(commands, processing.wake)
        pruning = Pruning(keys, clock, platform.logger)
        await stack.enter_async_context(platform.tasks.during(pruning.run, "idempotency keys"))

        yield UseCases(
            place=place,
            place_once=PlaceOnce(place, keys, history, clock, timedelta(seconds=settings.idempotency_keep)),
            get=GetOrder(orders),
            get_at=GetOrderAt(history),
            history=TellHistory(history),
            listing=ListOrders(SqlOrderList(store, listing, LIST_PATIENCE)),
            cancel=CancelOrder(commands),
        )


def holder(settings: Settings) -> str:
    """Whose an order in hand is. Without a name of its own a replica is where it listens: the same after a restart. One
    that takes whatever port is free has a new name each time, and what it had is taken up when its claim is over."""
    place = settings.port or uuid.uuid4().hex
    return settings.replica or f"{socket.gethostname()}:{place}"


async def drain(actors: ActorSystem, within: float, logger: Logger) -> None:
    drained = await actors.drain(within)
    if drained.left or drained.interrupted:
        logger.warning("commands to orders were dropped", left=drained.left, interrupted=drained.interrupted)


def patience(settings: Settings) -> Patience:
    """Who was met with silence stands back for the time in which another order's call shows whether the provider
    answers at all."""
    return Patience(
        wait=timedelta(seconds=settings.payment_wait),
        silences=settings.payment_attempts,
        deference=timedelta(seconds=settings.payment_timeout),
        backoff=BACKOFF,
    )


def http_payments(platform: Platform, settings: Settings, wanted: Wanted) -> Payments:
    """The provider, behind the policy. One call's timeout is the HTTP client's, so that the provider is told of it."""
    payments = HttpPayments(platform.http, settings.payment_url, timeout=settings.payment_timeout)
    return guarded(payments, platform.resilience, settings, wanted)


def guarded(payments: Payments, blocks: Resilience, settings: Settings, wanted: Wanted) -> GuardedPayments:
    """The circuit is asked last, behind the bulkhead: who waited for a place while the provider fell silent is refused
    then, instead of being one more call into the silence. Nobody waits in vain, for no more than `concurrency` come."""
    policy = CompositePolicy(
        blocks.retry(
            "payments",
            max_attempts=settings.payment_attempts,
            base_delay=settings.payment_retry_delay,
            max_delay=max(LONGEST_RETRY, settings.payment_retry_delay),
            retry_on=is_worth_it,
        ),
        blocks.bulkhead("payments", settings.payment_calls, settings.concurrency, queue_timeout=None),
    )
    circuit = blocks.circuit_breaker(
        "payments", failure_threshold=settings.payment_failures, reset_timeout=settings.payment_reset
    )
    return GuardedPayments(payments, policy, circuit, wanted)


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
        claim=settings.claim,
        backoff=TROUBLE,
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
