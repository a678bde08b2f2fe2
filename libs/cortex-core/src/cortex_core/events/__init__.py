"""Events between services: the CloudEvents envelope, the bus protocol, a memory bus. `events.redis` is the real one.

Standard library only; `cortex_core.events.redis` needs the extra `redis`.
"""

from cortex_core.events.bus import ConsumerPolicy, EventBus, Handler, Marker, Retention, Subscription, UnknownEvent
from cortex_core.events.envelope import CloudEvent, MalformedEvent
from cortex_core.events.errors import MAX_EVENT_SIZE, BusUnavailable, EventTooLarge, MarkerMoved
from cortex_core.events.hooks import (
    BusErrorDetails,
    BusHooks,
    DeliveryDetails,
    GapDetails,
    LoggingHooks,
    Outcome,
    Strain,
    StrainDetails,
)
from cortex_core.events.log import (
    DeadLetter,
    DeadLetterEmpty,
    DeadLetterNotFound,
    EventLog,
    GroupLag,
    GroupNotFound,
    LogEntry,
    MalformedPlace,
    Place,
    TopicLag,
)
from cortex_core.events.memory import MemoryEventBus

__all__ = [
    "MAX_EVENT_SIZE",
    "BusErrorDetails",
    "BusHooks",
    "BusUnavailable",
    "CloudEvent",
    "ConsumerPolicy",
    "DeadLetter",
    "DeadLetterEmpty",
    "DeadLetterNotFound",
    "DeliveryDetails",
    "EventBus",
    "EventLog",
    "EventTooLarge",
    "GapDetails",
    "GroupLag",
    "GroupNotFound",
    "Handler",
    "LogEntry",
    "LoggingHooks",
    "MalformedEvent",
    "MalformedPlace",
    "Marker",
    "MarkerMoved",
    "MemoryEventBus",
    "Outcome",
    "Place",
    "Retention",
    "Strain",
    "StrainDetails",
    "Subscription",
    "TopicLag",
    "UnknownEvent",
]
