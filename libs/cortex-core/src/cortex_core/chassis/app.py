"""`create_app`: settings, use cases and routes become a service that answers like its five siblings.

Owns the order of the middleware (outermost first, as listed), the lifespan, and what is registered by default. Knows no
service. Next: `server.py` runs what this makes.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.requests import HTTPConnection
from starlette.middleware import Middleware
from starlette.routing import Match

from cortex_core.asgi import (
    BodyLimit,
    Decompression,
    HeaderPolicy,
    HeadFromGet,
    KnownTenant,
    OwnPages,
    Problems,
    RequestContext,
    SecurityHeaders,
    by_client,
)
from cortex_core.asgi.types import Scope
from cortex_core.chassis.api_keys import accepting_keys
from cortex_core.chassis.assembly import make_platform
from cortex_core.chassis.consumers import Consumers, attach
from cortex_core.chassis.deadline import OnTime
from cortex_core.chassis.docs import ASSETS, HEADERS, docs, docs_assets
from cortex_core.chassis.edge import Edge
from cortex_core.chassis.explaining import with_its_variable
from cortex_core.chassis.lag import LagGauges
from cortex_core.chassis.openapi import document
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.probes import probes
from cortex_core.chassis.problems import install, not_found, told_to
from cortex_core.chassis.readiness import Readiness
from cortex_core.chassis.settings import Config
from cortex_core.chassis.starting import ServiceStarting, opening
from cortex_core.chassis.telemetry import RequestMetrics, RequestTelemetry
from cortex_core.events import EventBus
from cortex_core.kernel.clock import Clock
from cortex_core.observability import memory_check, uptime_check
from cortex_core.security import Authentication, Authorization
from cortex_core.security.api_keys import ApiKeys

Running = Callable[[Platform], AbstractAsyncContextManager[Any]]
"""Opens what a service stands on and yields its use cases; closes it when the block ends."""


def create_app(
    settings: Config,
    *,
    running: Running,
    routers: Sequence[APIRouter],
    consumers: Sequence[Consumers] | Consumers = (),
    body_limits: Mapping[str, int] | None = None,
    body_limit_of: Callable[[Scope], int | None] | None = None,
    security_headers: Mapping[str, HeaderPolicy] | None = None,
    tls_in_front: bool = False,
    edge: Callable[[Platform], Edge] | None = None,
    required: Callable[[Scope], str | None] | None = None,
    bus_required: bool = True,
    clock: Clock | None = None,
    bus: EventBus | None = None,
    api_keys: ApiKeys | None = None,
    description: str = "",
) -> FastAPI:
    """The service's ASGI application.

    `body_limits` maps path prefixes to bytes where `settings.body_limit` does not fit, and `body_limit_of` is asked
    before; `security_headers` maps them to policies where that for data does not fit (`/`: everywhere). `tls_in_front`:
    somebody takes TLS off before us, so HSTS is sent. `edge`: the parts for a service that the world can reach; they
    see encoded bodies, and pass them on as they are. Any other service gets them decoded.
    `required` tells the scope that a request needs where its route does not say so itself (`requires`), because it is
    forwarded, or answered by a cache before the route is reached.
    `bus_required=False`: the service is ready without the bus (its events wait), and reports itself degraded. `clock`,
    `bus` and `api_keys` are for tests.
    """
    platform = make_platform(settings, clock=clock, bus=bus, api_keys=api_keys)
    _register_checks(platform, bus_required=bus_required)
    _show_version(platform)
    readiness = Readiness(platform)
    front = edge(platform) if edge is not None else None
    tables = [consumers] if isinstance(consumers, Consumers) else list(consumers)
    app: FastAPI = FastAPI(
        title=f"Cortex Hub: {settings.service}",
        version=_version(settings.service),
        description=description,
        docs_url=None,
        redoc_url=None,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
        },  # ours is below, once; FastAPI's looks at each request
        redirect_slashes=False,  # one address a thing; and a redirect would be built from the Host the client claims
        lifespan=lambda app: _lifespan(app, platform, readiness, front, running, tables),
        middleware=[  # outermost first
            Middleware(RequestContext, tenants=None if settings.env == "production" else settings.tenants),
            Middleware(  # refuses nobody: what is open is open
                Authentication,
                authenticator=platform.authenticator,
                source=front.source if front is not None else by_client(),
            ),
            Middleware(
                RequestTelemetry,
                tracer=platform.tracer,
                on_response=RequestMetrics(settings.service, platform.metrics, platform.logger),
            ),
            Middleware(SecurityHeaders, routes={**HEADERS, **(security_headers or {})}, tls_in_front=tls_in_front),
            *(front.outermost() if front is not None else []),
            Middleware(Problems, on_error=told_to(platform.logger)),
            *(front.before_tenants() if front is not None else []),
            *_pages(settings, front),
            Middleware(KnownTenant),
            Middleware(OnTime),
            *([] if required is None else [Middleware(Authorization, required=required)]),
            *(front.after_tenants() if front is not None else []),
            *([] if front is not None else [Middleware(Decompression, limit=_largest(settings, body_limits))]),
            Middleware(BodyLimit, default=settings.body_limit, limits=body_limits, of=body_limit_of),
            Middleware(HeadFromGet, unless=lambda scope: _serves_itself(app, scope)),
        ],
    )
    install(app)
    app.router.default = not_found
    app.state.platform = platform
    for router in routers:
        app.include_router(router)
    app.include_router(probes(platform, metrics=settings.shows_metrics, details=settings.shows_details))
    app.include_router(docs(app.title))
    app.mount(ASSETS, docs_assets(), name="docs-assets")
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _pages(settings: Config, front: Edge | None) -> list[Middleware]:
    """Where a request has to show something, no page can send it for somebody."""
    if not settings.serves_anonymous:
        return []
    if front is None:
        return [Middleware(OwnPages)]
    return [Middleware(OwnPages, allows=front.allows_page, setting=front.pages_setting)]


def use_cases(connection: HTTPConnection) -> Any:
    """What `running` yielded: `UseCasesDep = Annotated[UseCases, Depends(use_cases)]`."""
    try:
        return connection.app.state.use_cases
    except AttributeError:
        raise ServiceStarting from None


@asynccontextmanager
async def _lifespan(
    app: FastAPI,
    platform: Platform,
    readiness: Readiness,
    edge: Edge | None,
    running: Running,
    tables: list[Consumers],
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(platform.tracer.aclose)
        stack.push_async_callback(platform.http.aclose)
        stack.push_async_callback(platform.bus.aclose)
        stack.push_async_callback(platform.authenticator.aclose)
        stack.push_async_callback(platform.sessions.aclose)
        stack.push_async_callback(platform.tasks.aclose)
        if edge is not None:
            stack.push_async_callback(edge.aclose)
        await stack.enter_async_context(platform.resilience)
        await stack.enter_async_context(
            accepting_keys(
                platform.keys,
                platform.authenticator,
                bus=platform.bus,
                tasks=platform.tasks,
                health=platform.health,
                clock=platform.clock,
            )
        )
        if platform.settings.server_workers > 1:
            platform.tasks.start(partial(_refresh_metrics, platform), "metrics")
        platform.drain.on_begin(lambda: platform.logger.info("draining"))
        opened = partial(_opened, app, platform, running, tables)
        async with opening(platform, opened, partial(with_its_variable, platform.settings)):
            platform.tasks.start(readiness.watch, "readiness")  # after the first attempt: before, all looks well
            yield
            platform.drain.begin()


@asynccontextmanager
async def _opened(app: FastAPI, platform: Platform, running: Running, tables: list[Consumers]) -> AsyncIterator[None]:
    """The use cases, and the events they hear."""
    async with AsyncExitStack() as stack:
        use_cases = await stack.enter_async_context(running(platform))
        for table in tables:
            subscription = await attach(table, platform, use_cases)
            stack.push_async_callback(subscription.aclose)
        _watch_lag(platform, tables)
        app.state.use_cases = use_cases
        platform.logger.info("ready", port=platform.settings.port, env=platform.settings.env)
        yield


async def _refresh_metrics(platform: Platform) -> None:
    """For ever: whoever is scraped shows what the others' gauges said within the last second."""
    while True:
        platform.metrics.refresh()
        await platform.clock.sleep(1.0)


def _watch_lag(platform: Platform, tables: Sequence[Consumers]) -> None:
    topics = frozenset[str]().union(*(table.topics for table in tables if table.kind == "group"))
    if topics:
        gauges = LagGauges(platform.bus, platform.settings.service, topics, platform.metrics)
        platform.tasks.start(partial(gauges.watch, platform.clock), "bus-lag")


def _register_checks(platform: Platform, *, bus_required: bool) -> None:
    async def event_bus() -> Mapping[str, Any]:
        await platform.bus.check()
        return {"subscribers": platform.bus.subscriber_count()}

    platform.health.register("memory", memory_check())
    platform.health.register("uptime", uptime_check(platform.clock))
    platform.health.register("event-bus", event_bus, critical=bus_required)
    platform.health.register("background", platform.tasks.check)


def _show_version(platform: Platform) -> None:
    """Which version of which service this is: what a roll-out looks like from outside."""
    service = platform.settings.service
    shown = platform.metrics.create_gauge(
        "cortex_hub_build_info", "1, by the version that runs", ("service", "version"), merge="max"
    )
    shown.labels(service=service, version=_version(service)).set(1)


def _largest(settings: Config, body_limits: Mapping[str, int] | None) -> int:
    """Bytes that no body may have, wherever it goes: its route's own limit comes after."""
    return max([settings.body_limit, *(body_limits or {}).values()])


def _serves_itself(app: FastAPI, scope: Scope) -> bool:
    """Whether a route of the application is for this method."""
    return any(route.matches(scope)[0] is Match.FULL for route in app.router.routes)


def _version(service: str) -> str:
    try:
        return version(f"cortex-{service}")
    except PackageNotFoundError:
        return "0"
