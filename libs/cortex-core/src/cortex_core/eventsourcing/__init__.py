"""Event sourcing: streams of facts with an expected version, the outbox and the inbox, the relay, a memory store.

Standard library only; `cortex_core.eventsourcing.sql` is the durable store and needs the extra `sql`.
"""

from cortex_core.eventsourcing.errors import (
    CorruptEvent,
    DuplicateId,
    EventStoreUnavailable,
    EventTooLarge,
    SchemaNotCurrent,
    StaleVersion,
    UnstorableEvent,
)
from cortex_core.eventsourcing.memory import MemoryEventStore, MemoryTransaction
from cortex_core.eventsourcing.records import Message, NewEvent, RecordedEvent
from cortex_core.eventsourcing.relay import OnPending, OnRelayError, Relay, RelayError
from cortex_core.eventsourcing.store import EventStore, Inbox, Outbox

__all__ = [
    "CorruptEvent",
    "DuplicateId",
    "EventStore",
    "EventStoreUnavailable",
    "EventTooLarge",
    "Inbox",
    "MemoryEventStore",
    "MemoryTransaction",
    "Message",
    "NewEvent",
    "OnPending",
    "OnRelayError",
    "Outbox",
    "RecordedEvent",
    "Relay",
    "RelayError",
    "SchemaNotCurrent",
    "StaleVersion",
    "UnstorableEvent",
]
