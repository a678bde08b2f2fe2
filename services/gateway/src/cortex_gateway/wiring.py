"""The parts, put together. Tests pass fakes for what they replace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.routing import Route as StarletteRoute

from cortex_core.asgi import ClientAddress, Rule, by_client
from cortex_core.asgi.compression import Precompressed
from cortex_core.asgi.http_cache import CachePolicy, CacheRule, MemoryCacheStore
from cortex_core.chassis import Edge, LimiterReporter, Limits, Platform, create_app
from cortex_core.events import EventBus
from cortex_core.kernel import Clock
from cortex_core.ratelimit import Limiter, RateLimiter, SlidingWindow
from cortex_core.ratelimit.redis import DistributedRateLimiter
from cortex_gateway import api
from cortex_gateway.adapters import AiohttpUpstreams
from cortex_gateway.routes import ROUTES, SOCKETS, RouteTable, Service
from cortex_gateway.settings import Settings
from cortex_gateway.usecases import DescribeApi, Forward, ForwardSocket, ReportHealth, UseCases

_TABLE: Final = RouteTable(ROUTES)
_CACHE_RULES: Final = (
    *(CacheRule(own, bypass=True) for own in ("/health", "/metrics", "/docs")),  # of this moment, or with a nonce
    CacheRule("/api/analytics/metrics", ttl=1.0),  # many dashboards ask, and the figures lag behind by as much anyway
)


@asynccontextmanager
async def running(platform: Platform, settings: Settings) -> AsyncIterator[UseCases]:
    """Holds the connections to the services. None is opened before it is needed, and none is needed to be ready."""
    addresses = {
        Service.ORDER: settings.order_url,
        Service.NOTIFICATION: settings.notification_url,
        Service.ANALYTICS: settings.analytics_url,
        Service.STORAGE: settings.storage_url,
        Service.COMPUTE: settings.compute_url,
    }
    upstreams = AiohttpUpstreams(
        addresses, tracer=platform.tracer, clock=platform.clock, resilience=platform.resilience
    )
    async with upstreams.opened():
        yield UseCases(
            forward=Forward(_TABLE, upstreams),
            forward_socket=ForwardSocket(RouteTable(SOCKETS), upstreams),
            report_health=ReportHealth.of(platform.health, upstreams, platform.clock),
            describe_api=DescribeApi(_TABLE, upstreams, platform.clock),
        )


def make_edge(platform: Platform, settings: Settings) -> Edge:
    """What a request meets before it is forwarded: the limit of its client, compression, the cache."""
    store = MemoryCacheStore(settings.cache_bytes, clock=platform.clock) if settings.cache_bytes else None
    return Edge(
        platform.metrics,
        platform.logger,
        limits=make_limits(platform, settings) if settings.rate_limit_per_minute else None,
        threshold=settings.compression_threshold,
        precompressed=Precompressed(),
        store=store,
        cache_policy=CachePolicy(name="cortex-gateway", rules=_CACHE_RULES, date=False),
        clock=platform.clock,
    )


def make_limits(platform: Platform, settings: Settings) -> Limits:
    """So many a minute for each client address, over all replicas; a replica's share of that while Redis is away."""
    policy = SlidingWindow(settings.rate_limit_per_minute, 60.0, on_outage="local", share=1.0 / settings.replicas)
    reporter = LimiterReporter(platform.metrics, platform.logger)
    limiter: Limiter
    if settings.rate_limit_store == "memory":
        limiter = RateLimiter(clock=platform.clock, hooks=reporter)
    else:
        url = settings.redis_url.get_secret_value()
        shared = DistributedRateLimiter(url, namespace=settings.namespace, clock=platform.clock, hooks=reporter)
        platform.health.register("rate-limit", shared.check, critical=False)
        limiter = shared
    address = ClientAddress(
        trusted=settings.trusted_proxies, header=settings.proxy_header, ipv6_prefix=settings.ipv6_prefix
    )
    return Limits(limiter, [Rule([(policy, by_client(address))])])


def build(settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None) -> FastAPI:
    """The application. It stands on nothing: with every service down it is ready, and says so of each."""
    app = create_app(
        settings,
        running=lambda platform: running(platform, settings),
        routers=[api.router],
        clock=clock,
        bus=bus,
        bus_required=False,
        body_limits=_TABLE.body_limits(),
        edge=lambda platform: make_edge(platform, settings),
        tls_in_front=settings.tls_in_front,
        description="The way in: every service's API under one address.",
    )
    # Before FastAPI's own, which cannot wait for what it would have to ask the services.
    app.router.routes.insert(0, StarletteRoute("/openapi.json", api.openapi, include_in_schema=False))
    return app
