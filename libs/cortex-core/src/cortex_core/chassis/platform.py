"""The platform: what every service stands on, made in one place and handed to its wiring."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cortex_core.chassis.background import Background
from cortex_core.chassis.client import ServiceClient
from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.settings import Config
from cortex_core.events import CloudEvent, EventBus
from cortex_core.kernel.clock import Clock
from cortex_core.observability import HealthCheckRegistry, Logger, MetricsCollector, Tracer

if TYPE_CHECKING:
    from cortex_core.eventsourcing import Message, Outbox, Relay, RelayError


@dataclass(frozen=True, slots=True)
class Platform:
    """See the module. All of it is closed by the chassis, after the service's own `running` has ended."""

    settings: Config
    clock: Clock
    bus: EventBus
    metrics: MetricsCollector
    health: HealthCheckRegistry
    tracer: Tracer
    logger: Logger
    resilience: Resilience
    http: ServiceClient
    tasks: Background

    def background(self, work: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Runs `work()` until the service ends. Should it end before, that is logged and the service is not ready."""
        self.tasks.start(work, name)


@asynccontextmanager
async def relaying(outbox: "Outbox", platform: Platform) -> "AsyncIterator[Relay]":
    """While the block runs, what waits in the store's outbox goes to the bus: in order, again after interruptions."""

    from cortex_core.eventsourcing import Relay  # late: a service without a database has no use for it

    async def publish(messages: "Sequence[Message]") -> None:
        await platform.bus.publish([CloudEvent.from_json(message.payload) for message in messages])

    def report(error: "RelayError") -> None:
        platform.logger.warning("relay waits for the bus", **error.fields())

    waiting = platform.metrics.create_gauge("cortex_hub_outbox_pending", "Messages that wait for the bus")
    relay = Relay(outbox, publish, clock=platform.clock, on_error=report, on_pending=waiting.set)
    async with platform.tasks.during(relay.run, "relay"):
        yield relay
