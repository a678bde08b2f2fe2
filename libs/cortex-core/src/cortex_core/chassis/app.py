"""`create_app`: settings, use cases and routes become a service that answers like its five siblings.

Owns the order of the middleware (outermost first, as listed), the lifespan, and what is registered by default. Knows no
service. Next: `server.py` runs what this makes.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.requests import HTTPConnection
from starlette.middleware import Middleware

from cortex_core.asgi import AccessLog, BodyLimit, KnownTenant, RequestContext
from cortex_core.chassis.background import Background
from cortex_core.chassis.client import ServiceClient
from cortex_core.chassis.consumers import Consumers, attach
from cortex_core.chassis.openapi import document
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.probes import docs, docs_assets, probes
from cortex_core.chassis.problems import Problems, install, not_found
from cortex_core.chassis.settings import Config
from cortex_core.chassis.telemetry import RequestMetrics, RequestSpan
from cortex_core.events import EventBus
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.ids import new_id
from cortex_core.observability import (
    HealthCheckRegistry,
    Logger,
    MetricsCollector,
    Tracer,
    memory_check,
    uptime_check,
)

Running = Callable[[Platform], AbstractAsyncContextManager[Any]]
"""Opens what a service stands on and yields its use cases; closes it when the block ends."""


def create_app(
    settings: Config,
    *,
    running: Running,
    routers: Sequence[APIRouter],
    consumers: Sequence[Consumers] | Consumers = (),
    body_limits: Mapping[str, int] | None = None,
    bus_required: bool = True,
    clock: Clock | None = None,
    bus: EventBus | None = None,
    description: str = "",
) -> FastAPI:
    """The service's ASGI application.

    `body_limits` maps path prefixes to bytes where `settings.body_limit` does not fit. `bus_required=False`: the
    service is ready without the bus (its events wait), and reports itself degraded. `clock` and `bus` are for tests.
    """
    platform = make_platform(settings, clock=clock, bus=bus)
    _register_checks(platform, bus_required=bus_required)
    tables = [consumers] if isinstance(consumers, Consumers) else list(consumers)
    app = FastAPI(
        title=f"Cortex Hub: {settings.service}",
        version=_version(settings.service),
        description=description,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # one address a thing; and a redirect would be built from the Host the client claims
        lifespan=lambda app: _lifespan(app, platform, running, tables),
        middleware=[
            Middleware(RequestContext, tenants=None if settings.env == "production" else settings.tenants),
            Middleware(RequestSpan, tracer=platform.tracer),
            Middleware(AccessLog, on_response=RequestMetrics(settings.service, platform.metrics, platform.logger)),
            Middleware(Problems, logger=platform.logger),
            Middleware(KnownTenant),
            Middleware(BodyLimit, default=settings.body_limit, limits=body_limits),
        ],
    )
    install(app)
    app.router.default = not_found
    app.state.platform = platform
    for router in routers:
        app.include_router(router)
    app.include_router(probes(platform))
    app.include_router(docs(app.title))
    app.mount("/docs/assets", docs_assets(), name="docs-assets")
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def make_platform(settings: Config, *, clock: Clock | None = None, bus: EventBus | None = None) -> Platform:
    """Everything is made, nothing is opened: connections come with their first use."""
    clock = clock or SystemClock()
    logger = Logger.get(settings.service)
    metrics = MetricsCollector()
    tracer = Tracer(settings.service, exporter=_exporter(settings), sample_ratio=settings.trace_sample_ratio)
    return Platform(
        settings=settings,
        clock=clock,
        bus=bus or _redis_bus(settings, clock, metrics, logger),
        metrics=metrics,
        health=HealthCheckRegistry(clock),
        tracer=tracer,
        logger=logger,
        http=ServiceClient(tracer=tracer),
        tasks=Background(logger),
    )


def use_cases(connection: HTTPConnection) -> Any:
    """What `running` yielded: `UseCasesDep = Annotated[UseCases, Depends(use_cases)]`."""
    return connection.app.state.use_cases


@asynccontextmanager
async def _lifespan(app: FastAPI, platform: Platform, running: Running, tables: list[Consumers]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(platform.tracer.aclose)
        stack.push_async_callback(platform.http.aclose)
        stack.push_async_callback(platform.bus.aclose)
        stack.push_async_callback(platform.tasks.aclose)
        app.state.use_cases = await stack.enter_async_context(running(platform))
        for table in tables:
            subscription = await attach(table, platform, app.state.use_cases)
            stack.push_async_callback(subscription.aclose)
        platform.logger.info("ready", port=platform.settings.port, env=platform.settings.env)
        yield
        platform.logger.info("draining")


def _register_checks(platform: Platform, *, bus_required: bool) -> None:
    async def event_bus() -> Mapping[str, Any]:
        await platform.bus.check()
        return {"subscribers": platform.bus.subscriber_count()}

    platform.health.register("memory", memory_check())
    platform.health.register("uptime", uptime_check(platform.clock))
    platform.health.register("event-bus", event_bus, critical=bus_required)
    platform.health.register("background", platform.tasks.check)


def _redis_bus(settings: Config, clock: Clock, metrics: MetricsCollector, logger: Logger) -> EventBus:
    from cortex_core.chassis.bus import BusReporter
    from cortex_core.events.redis import RedisEventBus

    reporter = BusReporter(metrics, logger)
    return RedisEventBus(
        settings.redis_url.get_secret_value(),
        namespace=settings.namespace,
        tenants=sorted(settings.tenants),
        consumer=f"{socket.gethostname()}-{os.getpid()}-{new_id('c')[-6:]}",
        clock=clock,
        hooks=reporter,
    )


def _exporter(settings: Config) -> Any:
    if settings.otlp_endpoint is None:
        return None
    from cortex_core.observability.exporters import otlp_exporter

    return otlp_exporter(settings.otlp_endpoint)


def _version(service: str) -> str:
    try:
        return version(f"cortex-{service}")
    except PackageNotFoundError:
        return "0"
