"""Calls that survive trouble: blocks that nest in any order, each by itself or in a CompositePolicy. Stdlib only."""

from cortex_core.resilience.adaptive import (
    AdaptiveLimit,
    OverLimit,
    Place,
)
from cortex_core.resilience.attempts import (
    Attempt,
    Attempts,
)
from cortex_core.resilience.breaker import (
    CircuitBreaker,
    CircuitOpenError,
    CircuitStatus,
    CountWindow,
    Permit,
    TimeWindow,
    WindowCounts,
    is_failure,
)
from cortex_core.resilience.budget import (
    RetryBudget,
    format_retry_budget,
    parse_retry_budget,
)
from cortex_core.resilience.bulkhead import (
    Bulkhead,
)
from cortex_core.resilience.composite import (
    CompositePolicy,
)
from cortex_core.resilience.course import (
    Course,
)
from cortex_core.resilience.deadline import (
    DeadlineExceeded,
    check_deadline,
    read_deadline,
    read_grpc_timeout,
    remaining,
    write_deadline,
    write_grpc_timeout,
)
from cortex_core.resilience.fallback import (
    Fallback,
)
from cortex_core.resilience.hedge import (
    Hedge,
)
from cortex_core.resilience.hooks import (
    Admission,
    AdmissionDetails,
    CallOutcome,
    CircuitCall,
    CircuitCause,
    CircuitChange,
    CircuitRejection,
    CircuitState,
    FallbackDetails,
    GiveUp,
    GiveUpDetails,
    HedgeDetails,
    LimitDetails,
    OnAdmission,
    OnCircuitCall,
    OnCircuitChange,
    OnCircuitRejection,
    OnFallback,
    OnGiveUp,
    OnHedge,
    OnLimit,
    OnRetry,
    OnSharing,
    OnTimeout,
    RetryDetails,
    SharingDetails,
    TimeoutDetails,
)
from cortex_core.resilience.idempotency import (
    is_idempotent,
)
from cortex_core.resilience.latencies import (
    Percentile,
)
from cortex_core.resilience.policy import (
    Policy,
)
from cortex_core.resilience.refusal import (
    Refusal,
)
from cortex_core.resilience.retry import (
    RetryExecutor,
    is_transient,
)
from cortex_core.resilience.sharing import (
    Ballot,
    BallotUnavailable,
    SharedCircuit,
)
from cortex_core.resilience.timeout import (
    CallTimeout,
    ThreadsExhausted,
    Timeout,
)
from cortex_core.resilience.turns import (
    BulkheadFull,
    BulkheadTimeout,
    Turn,
)

__all__ = [
    "AdaptiveLimit",
    "Admission",
    "AdmissionDetails",
    "Attempt",
    "Attempts",
    "Ballot",
    "BallotUnavailable",
    "Bulkhead",
    "BulkheadFull",
    "BulkheadTimeout",
    "CallOutcome",
    "CallTimeout",
    "CircuitBreaker",
    "CircuitCall",
    "CircuitCause",
    "CircuitChange",
    "CircuitOpenError",
    "CircuitRejection",
    "CircuitState",
    "CircuitStatus",
    "CompositePolicy",
    "CountWindow",
    "Course",
    "DeadlineExceeded",
    "Fallback",
    "FallbackDetails",
    "GiveUp",
    "GiveUpDetails",
    "Hedge",
    "HedgeDetails",
    "LimitDetails",
    "OnAdmission",
    "OnCircuitCall",
    "OnCircuitChange",
    "OnCircuitRejection",
    "OnFallback",
    "OnGiveUp",
    "OnHedge",
    "OnLimit",
    "OnRetry",
    "OnSharing",
    "OnTimeout",
    "OverLimit",
    "Percentile",
    "Permit",
    "Place",
    "Policy",
    "Refusal",
    "RetryBudget",
    "RetryDetails",
    "RetryExecutor",
    "SharedCircuit",
    "SharingDetails",
    "ThreadsExhausted",
    "TimeWindow",
    "Timeout",
    "TimeoutDetails",
    "Turn",
    "WindowCounts",
    "check_deadline",
    "format_retry_budget",
    "is_failure",
    "is_idempotent",
    "is_transient",
    "parse_retry_budget",
    "read_deadline",
    "read_grpc_timeout",
    "remaining",
    "write_deadline",
    "write_grpc_timeout",
]
