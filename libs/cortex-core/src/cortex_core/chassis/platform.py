"""The platform: what every service stands on, made in one place and handed to its wiring."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cortex_core.chassis.api_keys import KeyParts
from cortex_core.chassis.background import Background
from cortex_core.chassis.client import ServiceClient
from cortex_core.chassis.drain import Drain
from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.settings import Config
from cortex_core.events import EventBus
from cortex_core.kernel.clock import Clock
from cortex_core.observability import HealthCheckRegistry, Logger, MetricsCollector, Tracer
from cortex_core.security import Authenticator, LiveSessions


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
    drain: Drain
    authenticator: Authenticator
    sessions: LiveSessions
    keys: KeyParts | None

    def background(self, work: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Runs `work()` until the service ends. Should it end before, that is logged and the service is not ready."""
        self.tasks.start(work, name)
