"""The parts, put together. Tests pass fakes for what they replace."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import Route as StarletteRoute

from cortex_core.asgi import ClientAddress, Cors, HeaderPolicy, by_client
from cortex_core.asgi.compression import Precompressed
from cortex_core.asgi.http_cache import Filler
from cortex_core.asgi.rate_limit import EXEMPT
from cortex_core.asgi.types import Scope
from cortex_core.chassis import Edge, LimiterReporter, Limits, Platform, create_app, exporting, make_internal_tokens
from cortex_core.events import EventBus
from cortex_core.kernel import Clock
from cortex_core.kernel.clock import SystemClock
from cortex_core.ratelimit import LeasedLimiter, Limiter, RateLimiter
from cortex_core.ratelimit.redis import DistributedRateLimiter
from cortex_core.security import SCOPES
from cortex_core.security.api_keys import ApiKeys, KeyDesk
from cortex_gateway import api
from cortex_gateway.adapters import (
    BusAnnouncements,
    KeptAnswers,
    PolicyHeader,
    PooledUpstreams,
    PoolReporter,
    cors_policy,
)
from cortex_gateway.api import keys
from cortex_gateway.console import UNCOUNTED, console_routes
from cortex_gateway.consumers import CONSUMERS
from cortex_gateway.dataplane import DataPlane, make_data_plane
from cortex_gateway.dataplane.encoding import Encoder
from cortex_gateway.dataplane.heads import Heads
from cortex_gateway.dataplane.hot import HotAnswers
from cortex_gateway.domain.provenance import Provenance
from cortex_gateway.limits import CallerLimits
from cortex_gateway.ports import Carrier
from cortex_gateway.routes import ROUTES, SOCKETS, RouteTable, Service, counted_by, route_of
from cortex_gateway.settings import Settings
from cortex_gateway.usecases import DescribeApi, Forward, ForwardSocket, PurgeAnswers, ReportHealth, UseCases

_TABLE: Final = RouteTable(ROUTES)
_SOCKETS: Final = RouteTable(SOCKETS)
_HOT: Final = 100  # requests of one caller in a second from which on tokens are leased: below it every one is counted


@asynccontextmanager
async def running(
    platform: Platform, settings: Settings, kept: KeptAnswers, opened: Callable[[UseCases, Carrier], None]
) -> AsyncIterator[UseCases]:
    """Holds the connections to the services. None is opened before it is needed, and none is needed to be ready.
    `opened` gets what the express lane needs of them."""
    addresses = {
        Service.ORDER: settings.order_url,
        Service.NOTIFICATION: settings.notification_url,
        Service.ANALYTICS: settings.analytics_url,
        Service.STORAGE: settings.storage_url,
        Service.COMPUTE: settings.compute_url,
    }
    reporter = PoolReporter(platform.metrics, platform.logger)
    upstreams = PooledUpstreams(
        addresses, tracer=platform.tracer, clock=platform.clock, resilience=platform.resilience, hooks=reporter
    )
    tokens = make_internal_tokens(settings, platform.clock)
    report_health = ReportHealth.of(platform.health, upstreams, platform.clock)
    async with upstreams.opened(), _metrics_elsewhere(platform, settings, report_health):
        reporter.show(upstreams.pool.services, lambda: upstreams.open_sockets)
        use = UseCases(
            forward=Forward(_TABLE, upstreams, tokens, kept.withheld, _allowed(settings)),
            forward_socket=ForwardSocket(_SOCKETS, upstreams, tokens, _allowed(settings)),
            report_health=report_health,
            describe_api=DescribeApi(
                _TABLE, SOCKETS, upstreams, platform.clock, anonymous=platform.authenticator.anonymous is not None
            ),
            purge_answers=PurgeAnswers(kept),
            provenance=Provenance(client_address(settings), settings.tls_in_front),
            keys=make_key_desk(platform, settings),
        )
        opened(use, upstreams.pool)
        yield use


@asynccontextmanager
async def _metrics_elsewhere(
    platform: Platform, settings: Settings, report_health: ReportHealth
) -> AsyncIterator[None]:
    """`/metrics` on its own port, where there is one, and the whole of `/health`: for those who run the hub, not the
    world."""
    if not settings.metrics_port:
        if not settings.shows_metrics:
            platform.logger.info("figures are not served", setting=settings.variable("metrics_port"))
        yield
        return

    async def metrics() -> str:
        return platform.metrics.to_prometheus_format()

    async def health() -> dict[str, Any]:
        return (await report_health()).to_dict()

    host, port, variable = settings.host, settings.metrics_port, settings.variable("metrics_port")
    shared = settings.server_workers > 1
    exporter = exporting(
        metrics, host=host, port=port, variable=variable, logger=platform.logger, shared=shared, health=health
    )
    async with exporter as serves:
        platform.health.register("exporter", serves, critical=False)
        yield


def make_key_desk(platform: Platform, settings: Settings) -> KeyDesk | None:
    """None where no pepper is set: there are no API keys then."""
    if platform.keys is None:
        return None
    return KeyDesk(
        platform.keys.store,
        platform.keys.peppers,
        plans=settings.plans,
        known_scopes=SCOPES,
        announce=BusAnnouncements(platform.bus, platform.logger, platform.authenticator.memo.forget),
        clock=platform.clock,
    )


def make_edge(platform: Platform, settings: Settings, kept: KeptAnswers) -> Edge:
    """What a request meets before it is forwarded: the limit of its client, compression, the cache."""
    edge = Edge(
        platform.metrics,
        platform.logger,
        limits=make_limits(platform, settings),
        threshold=settings.compression_threshold,
        precompressed=Precompressed(),
        store=kept.store,
        cache_policy=kept.policy,
        cache_tags=kept.tags_of,
        cache_changes=kept.changes_of,
        outermost=_outermost(settings, kept),
        source=by_client(client_address(settings)),
        allows_page=_allowed(settings),
        pages_setting=settings.variable("cors_origins"),
        clock=platform.clock,
    )
    kept.on_purged = edge.cache_reporter.on_purged
    return edge


def _outermost(settings: Settings, kept: KeptAnswers) -> list[Middleware]:
    """What is on every answer, refusals among them."""
    found = []
    if settings.cors_origins:
        found.append(Middleware(Cors, policy=cors_policy(settings.cors_origins)))
    if settings.shows_policy:
        found.append(Middleware(PolicyHeader, table=_TABLE, sockets=_SOCKETS, cache=kept.policy.name))
    return found


def _allowed(settings: Settings) -> Callable[[bytes], bool] | None:
    """Which origins' pages may open a WebSocket: those that may ask. None: no CORS."""
    return cors_policy(settings.cors_origins).allows if settings.cors_origins else None


def client_address(settings: Settings) -> ClientAddress:
    """Who asks: to the limits, and to the services."""
    return ClientAddress(
        trusted=settings.trusted_proxies, header=settings.proxy_header, ipv6_prefix=settings.ipv6_prefix
    )


def make_limits(platform: Platform, settings: Settings) -> Limits | None:
    """So many a minute for each caller, over all replicas; a replica's share of that while Redis is away."""
    rules = caller_limits(settings).rules(by_client(client_address(settings)), counted=counted_by(_TABLE, _SOCKETS))
    if not rules:
        return None
    reporter = LimiterReporter(platform.metrics, platform.logger)
    limiter: Limiter
    if settings.rate_limit_store == "memory":
        limiter = RateLimiter(clock=platform.clock, hooks=reporter)
    else:
        url = settings.redis_url.get_secret_value()
        shared = DistributedRateLimiter(url, namespace=settings.namespace, clock=platform.clock, hooks=reporter)
        platform.health.register("rate-limit", shared.check, critical=False)
        limiter = LeasedLimiter(shared, hot=_HOT, clock=platform.clock, hooks=reporter)
    return Limits(limiter, rules, exempt=(*EXEMPT, *(UNCOUNTED if settings.console else ())))


def caller_limits(settings: Settings) -> CallerLimits:
    """Whom a request counts against, for both lanes."""
    return CallerLimits.of(
        per_minute=settings.rate_limit_per_minute,
        failed_per_minute=settings.failed_attempts_per_minute,
        plans=settings.plans,
        default_plan=settings.default_plan,
        share=1.0 / (settings.replicas * settings.server_workers),
    )


def make_express(
    platform: Platform, settings: Settings, edge: Edge, kept: KeptAnswers, use: UseCases, carrier: Carrier
) -> DataPlane:
    """The parts of the lane that answers without the application. See `dataplane`."""
    tokens = use.forward.tokens
    encoder = Encoder(
        threshold=settings.compression_threshold,
        pressure=edge.pressure,
        on_response=edge.compression_reporter.on_response,
        precompressed=edge.precompressed,
    )
    heads = Heads(HeaderPolicy(), secure=settings.tls_in_front)
    hot = filler = None
    if kept.store is not None:
        hooks = edge.cache_reporter
        dress = partial(heads.kept, limited=edge.limits is not None)
        hot = HotAnswers(kept.store, kept.policy, encoder, platform.clock, on_hit=hooks.on_hot_hit, dress=dress)
        filler = Filler(kept.store, kept.policy, kept.tags_of, platform.clock, hooks)
    return make_data_plane(
        platform,
        _TABLE,
        carrier,
        heads,
        use.provenance,
        version=version("cortex-gateway"),
        limits=edge.limits,
        encoder=encoder,
        hot=hot,
        filler=filler,
        cache=kept.policy.name if kept.store is not None else "",
        changed=kept.changed if kept.store is not None else None,
        signed=tokens.header_for if tokens is not None else None,
        origins=bool(settings.cors_origins),
        varies=bool(settings.cors_origins) and cors_policy(settings.cors_origins).varies,
        shows_policy=settings.shows_policy,
    )


def required_scope(scope: Scope) -> str | None:
    """What the route table asks of who sends this. A path that is not in it is nobody's: it is answered further in."""
    route = route_of(scope, _TABLE, _SOCKETS)
    return route.requires if route is not None else None


def body_limit_of(scope: Scope) -> int | None:
    """Bytes, by the route table. None: not a route of it."""
    route = route_of(scope, _TABLE, _SOCKETS)
    return route.body_limit if route is not None else None


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    bus: EventBus | None = None,
    api_keys: ApiKeys | None = None,
) -> FastAPI:
    """The application. It stands on nothing: with every service down it is ready, and says so of each."""
    clock = clock or SystemClock()
    kept = KeptAnswers(_TABLE, settings.cache_bytes, clock=clock)
    edges: list[Edge] = []

    def edge(platform: Platform) -> Edge:
        edges.append(make_edge(platform, settings, kept))
        return edges[-1]

    def opened(platform: Platform, use: UseCases, carrier: Carrier) -> None:
        app.state.data_plane = make_express(platform, settings, edges[0], kept, use, carrier)

    app = create_app(
        settings,
        running=lambda platform: running(platform, settings, kept, partial(opened, platform)),
        consumers=CONSUMERS,
        routers=[keys.router, api.router],
        clock=clock,
        bus=bus,
        api_keys=api_keys,
        bus_required=False,
        body_limits={keys.PATH: keys.BODY_LIMIT},
        body_limit_of=body_limit_of,
        edge=edge,
        required=required_scope,
        tls_in_front=settings.tls_in_front,
        description="The way in: every service's API under one address.",
    )
    tokens = settings.known_tokens()
    if tokens is not None:
        app.state.platform.authenticator.accept_static(tokens)
    # Before FastAPI's own, which cannot wait for what it would have to ask the services.
    app.router.routes.insert(0, StarletteRoute("/openapi.json", api.openapi, include_in_schema=False))
    if settings.console:
        app.router.routes.extend(console_routes(settings.dashboards))
    return app
