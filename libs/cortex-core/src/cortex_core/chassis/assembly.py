"""The platform of a service, put together of its settings. Refuses to open anything: connections come with their first
use. Next: `app.py` makes an application of it.
"""

import os
import socket
from collections.abc import Callable
from typing import Any

from cortex_core.chassis.api_keys import make_key_parts
from cortex_core.chassis.authentication import make_authenticator
from cortex_core.chassis.background import Background
from cortex_core.chassis.client import ServiceClient
from cortex_core.chassis.drain import Drain
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.settings import Config
from cortex_core.events import EventBus, Retention
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.ids import new_id
from cortex_core.observability import HealthCheckRegistry, Logger, MetricsCollector, Tracer
from cortex_core.resilience import Ballot
from cortex_core.security import LiveSessions
from cortex_core.security.api_keys import ApiKeys


def make_platform(
    settings: Config, *, clock: Clock | None = None, bus: EventBus | None = None, api_keys: ApiKeys | None = None
) -> Platform:
    """Everything is made, nothing is opened. `clock`, `bus` and `api_keys` are for tests."""
    clock = clock or SystemClock()
    logger = Logger.get(settings.service)
    metrics = MetricsCollector()
    tracer = Tracer(settings.service, exporter=_exporter(settings), sample_ratio=settings.trace_sample_ratio)
    resilience = Resilience(metrics, logger, clock, ballots=_ballots(settings) if settings.share_circuits else None)
    authenticator = make_authenticator(settings, clock, metrics, logger)
    return Platform(
        settings=settings,
        clock=clock,
        bus=bus or _redis_bus(settings, clock, metrics, logger),
        metrics=metrics,
        health=HealthCheckRegistry(clock),
        tracer=tracer,
        logger=logger,
        resilience=resilience,
        http=ServiceClient(tracer=tracer, resilience=resilience),
        tasks=Background(logger),
        drain=Drain(),
        authenticator=authenticator,
        sessions=LiveSessions(authenticator, clock),
        keys=make_key_parts(settings, clock, logger, api_keys),
    )


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
        retention=Retention(keep=settings.bus_keep, keep_dead=settings.bus_keep_dead),
    )


def _ballots(settings: Config) -> Callable[[str], Ballot]:
    from cortex_core.resilience.redis import RedisBallot

    url = settings.redis_url.get_secret_value()
    return lambda name: RedisBallot(url, f"{settings.service}:{name}", namespace=settings.namespace)


def _exporter(settings: Config) -> Any:
    if settings.otlp_endpoint is None:
        return None
    from cortex_core.observability.exporters import otlp_exporter

    return otlp_exporter(settings.otlp_endpoint)
