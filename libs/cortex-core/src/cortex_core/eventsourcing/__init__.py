"""Event sourcing: streams of facts with an expected version, the outbox and the inbox, the relay, a memory store.

Standard library only; `cortex_core.eventsourcing.sql` is the durable store and needs the extra `sql`.
"""

from cortex_core.eventsourcing.aggregates import Aggregates, Loaded, SnapshotPolicy
from cortex_core.eventsourcing.checkpoints import Checkpoint, Checkpoints, Parked, Stage
from cortex_core.eventsourcing.errors import (
    CorruptEvent,
    DuplicateId,
    EventStoreUnavailable,
    EventTooLarge,
    SchemaNotCurrent,
    StaleVersion,
    UnstorableEvent,
)
from cortex_core.eventsourcing.fencing import Fence, Fenced
from cortex_core.eventsourcing.leadership import Leadership, LeadershipDetails, OnLeadership
from cortex_core.eventsourcing.leases import Lease, LeaseLost, Leases
from cortex_core.eventsourcing.memory import MemoryEventStore, MemoryTransaction
from cortex_core.eventsourcing.projections import (
    OnProgress,
    OnProjectionTrouble,
    Progress,
    Projection,
    ProjectionStatus,
    ProjectionTrouble,
    RebuildInProgress,
)
from cortex_core.eventsourcing.projector import Projector
from cortex_core.eventsourcing.records import Message, NewEvent, RecordedEvent, SentBatches
from cortex_core.eventsourcing.relay import RELAY, Relay, RelaySettings
from cortex_core.eventsourcing.relay_hooks import (
    BacklogDetails,
    LoggingRelayHooks,
    LossDetails,
    PublishedDetails,
    RelayError,
    RelayHooks,
    RepairDetails,
)
from cortex_core.eventsourcing.snapshots import (
    OnSnapshotTrouble,
    Snapshot,
    Snapshots,
    SnapshotTrouble,
    UnstorableSnapshot,
)
from cortex_core.eventsourcing.store import EventStore, Inbox, Outbox
from cortex_core.eventsourcing.tenure import Wire
from cortex_core.eventsourcing.trimming import TRIM, OnTrim, TrimDetails, Trimming, TrimSettings
from cortex_core.eventsourcing.upcasting import DROPPED, Drop, Rename, Upcast, Upcasters

__all__ = [
    "DROPPED",
    "RELAY",
    "TRIM",
    "Aggregates",
    "BacklogDetails",
    "Checkpoint",
    "Checkpoints",
    "CorruptEvent",
    "Drop",
    "DuplicateId",
    "EventStore",
    "EventStoreUnavailable",
    "EventTooLarge",
    "Fence",
    "Fenced",
    "Inbox",
    "Leadership",
    "LeadershipDetails",
    "Lease",
    "LeaseLost",
    "Leases",
    "Loaded",
    "LoggingRelayHooks",
    "LossDetails",
    "MemoryEventStore",
    "MemoryTransaction",
    "Message",
    "NewEvent",
    "OnLeadership",
    "OnProgress",
    "OnProjectionTrouble",
    "OnSnapshotTrouble",
    "OnTrim",
    "Outbox",
    "Parked",
    "Progress",
    "Projection",
    "ProjectionStatus",
    "ProjectionTrouble",
    "Projector",
    "PublishedDetails",
    "RebuildInProgress",
    "RecordedEvent",
    "Relay",
    "RelayError",
    "RelayHooks",
    "RelaySettings",
    "Rename",
    "RepairDetails",
    "SchemaNotCurrent",
    "SentBatches",
    "Snapshot",
    "SnapshotPolicy",
    "SnapshotTrouble",
    "Snapshots",
    "Stage",
    "StaleVersion",
    "TrimDetails",
    "TrimSettings",
    "Trimming",
    "UnstorableEvent",
    "UnstorableSnapshot",
    "Upcast",
    "Upcasters",
    "Wire",
]
