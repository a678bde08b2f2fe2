"""The parts, put together. Tests pass fakes for what they replace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.routing import Route as StarletteRoute

from cortex_core.chassis import Platform, create_app
from cortex_core.events import EventBus
from cortex_core.kernel import Clock
from cortex_gateway import api
from cortex_gateway.adapters import AiohttpUpstreams
from cortex_gateway.routes import ROUTES, SOCKETS, RouteTable, Service
from cortex_gateway.settings import Settings
from cortex_gateway.usecases import DescribeApi, Forward, ForwardSocket, ReportHealth, UseCases

_TABLE: Final = RouteTable(ROUTES)


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
    async with AiohttpUpstreams(addresses, tracer=platform.tracer, clock=platform.clock).opened() as upstreams:
        yield UseCases(
            forward=Forward(_TABLE, upstreams),
            forward_socket=ForwardSocket(RouteTable(SOCKETS), upstreams),
            report_health=ReportHealth.of(platform.health, upstreams, platform.clock),
            describe_api=DescribeApi(_TABLE, upstreams, platform.clock),
        )


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
        description="The way in: every service's API under one address.",
    )
    # Before FastAPI's own, which cannot wait for what it would have to ask the services.
    app.router.routes.insert(0, StarletteRoute("/openapi.json", api.openapi, include_in_schema=False))
    return app
