"""Events between services: the CloudEvents envelope, the bus protocol, a memory bus. `events.redis` is the real one.

Standard library only; `cortex_core.events.redis` needs the extra `redis`.
"""

from cortex_core.events.bus import ConsumerPolicy, DeadLetter, EventBus, Handler, Subscription, UnknownEvent
from cortex_core.events.envelope import CloudEvent, MalformedEvent
from cortex_core.events.errors import MAX_EVENT_SIZE, BusUnavailable, EventTooLarge
from cortex_core.events.hooks import BusErrorDetails, BusHooks, DeliveryDetails, GapDetails, LoggingHooks, Outcome
from cortex_core.events.memory import MemoryEventBus

__all__ = [
    "MAX_EVENT_SIZE",
    "BusErrorDetails",
    "BusHooks",
    "BusUnavailable",
    "CloudEvent",
    "ConsumerPolicy",
    "DeadLetter",
    "DeliveryDetails",
    "EventBus",
    "EventTooLarge",
    "GapDetails",
    "Handler",
    "LoggingHooks",
    "MalformedEvent",
    "MemoryEventBus",
    "Outcome",
    "Subscription",
    "UnknownEvent",
]
