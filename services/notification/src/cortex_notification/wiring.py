"""The composition root."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from cortex_core.chassis import Platform, create_app
from cortex_core.events import EventBus
from cortex_core.kernel import Clock
from cortex_core.realtime import Closing, Connections
from cortex_core.security.api_keys import ApiKeys
from cortex_notification import api
from cortex_notification.adapters import Reporter
from cortex_notification.consumers import CONSUMERS
from cortex_notification.settings import Settings
from cortex_notification.usecases import Broadcast, Connect, Manners, Recent, UseCases

GOING_AWAY: Final = Closing(1001, "the service ends; connect again")


@asynccontextmanager
async def running(platform: Platform, settings: Settings) -> AsyncIterator[UseCases]:
    """Everybody who is connected, and the way in."""
    reporter = Reporter(platform.metrics, platform.logger)
    connections = Connections(
        limit=settings.connections,
        queue=settings.queue,
        per_tenant=settings.room_of_a_tenant,
        per_caller=settings.connections_per_caller,
        hooks=reporter,
    )
    manners = Manners(
        origins=settings.origins,
        message_limit=settings.message_limit,
        message_burst=settings.message_burst,
        message_rate=settings.message_rate,
        patience=settings.send_timeout,
    )
    try:
        yield UseCases(
            broadcast=Broadcast(connections, Recent(settings.remembered)),
            connect=Connect(connections, platform.clock, manners),
        )
    finally:
        connections.close(GOING_AWAY)


def build(
    settings: Settings, *, clock: Clock | None = None, bus: EventBus | None = None, api_keys: ApiKeys | None = None
) -> FastAPI:
    return create_app(
        settings,
        running=lambda platform: running(platform, settings),
        routers=[api.router],
        consumers=CONSUMERS,
        clock=clock,
        bus=bus,
        api_keys=api_keys,
        description="Live events over WebSockets.",
    )
