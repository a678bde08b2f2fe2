"""What the resilience cog tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

The chassis supplies hooks that count and log; `wiring` joins them. A hook that raises is logged and never breaks the
call.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeVar

D = TypeVar("D")

_log = logging.getLogger("cortex_core.resilience")


def tell(hook: Callable[[D], None] | None, details: D) -> None:
    """Calls `hook`, if there is one; what it raises is logged, for a listener's mistake must not cost the call."""
    if hook is None:
        return
    try:
        hook(details)
    except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the call its answer
        _log.exception("a resilience hook failed")


# --- retry ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """An attempt failed and another follows after `delay` seconds. `attempt` is the one that failed, from 1."""

    attempt: int
    max_attempts: int
    delay: float
    error: Exception
    name: str = ""


class OnRetry(Protocol):
    """Called before the wait, on the task that retries: it must be quick."""

    def __call__(self, details: RetryDetails, /) -> None: ...


class GiveUp(StrEnum):
    """Why an error that another attempt might have healed was raised instead."""

    ATTEMPTS = "attempts"  # there were `max_attempts`
    UNSAFE = "unsafe"  # the work may have begun, and nobody said that it may be done twice
    RETRY_AFTER = "retry-after"  # the callee asked for a longer wait than `max_delay`
    DEADLINE = "deadline"  # the wait would end after the caller has left
    BUDGET = "budget"  # the retry budget refused


@dataclass(frozen=True, slots=True)
class GiveUpDetails:
    """Attempt `attempt` (from 1) failed with an error worth another one, and there is none."""

    attempt: int
    max_attempts: int
    reason: GiveUp
    error: Exception
    name: str = ""


class OnGiveUp(Protocol):
    """Called before the error is raised, on the task that retried. Not for errors that `retry_on` refuses."""

    def __call__(self, details: GiveUpDetails, /) -> None: ...


# --- bulkhead and adaptive limit ------------------------------------------------------------------------------------


class Admission(StrEnum):
    """How a call's request for a place ended."""

    ADMITTED = "admitted"
    FULL = "full"  # no place, and none in the queue (an adaptive limit has no queue)
    TIMEOUT = "timeout"  # waited `queue_timeout`, or up to its deadline
    LEFT = "left"  # cancelled while it waited


@dataclass(frozen=True, slots=True)
class AdmissionDetails:
    """One decision, after `waited` seconds; `in_use` places and `waiting` callers right after it."""

    name: str
    outcome: Admission
    waited: float
    in_use: int
    waiting: int


class OnAdmission(Protocol):
    """Called on the caller's task or thread, outside of the lock."""

    def __call__(self, details: AdmissionDetails, /) -> None: ...


@dataclass(frozen=True, slots=True)
class LimitDetails:
    """An adaptive limit moved from `old` to `new`. `short` and `long` are the latencies behind it, in seconds."""

    name: str
    old: int
    new: int
    short: float
    long: float


class OnLimit(Protocol):
    """Called when the whole number of places changes, on the task whose call ended, outside of the lock."""

    def __call__(self, details: LimitDetails, /) -> None: ...


# --- hedge ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HedgeDetails:
    """No answer within `delay` seconds. Another attempt, number `attempt` (from 2), began; or the budget `refused`."""

    attempt: int
    delay: float
    refused: bool
    name: str = ""


class OnHedge(Protocol):
    """Called when the delay is over, on the task or thread that waits."""

    def __call__(self, details: HedgeDetails, /) -> None: ...


# --- circuit breaker, timeout, fallback -----------------------------------------------------------------------------


class CircuitState(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"  # calls pass
    HALF_OPEN = "half-open"  # so many probes pass, the rest is refused
    OPEN = "open"  # calls are refused


class CircuitCause(StrEnum):
    """Why a circuit changed."""

    FAILURES = "failures"  # so many in a row
    FAILURE_RATE = "failure-rate"  # of the window's calls
    SLOW_RATE = "slow-rate"  # of the window's calls
    PROBES_FAILED = "probes-failed"
    PROBES_TOO_LONG = "probes-too-long"  # half-open lasted as long as it may
    PROBES_SUCCEEDED = "probes-succeeded"
    RESET_TIMEOUT = "reset-timeout"  # it has been open for long enough to try
    TOLD = "told"  # by somebody who knows: a quorum of the other replicas
    FORCED = "forced"  # by hand, and held until it is reset
    RESET = "reset"  # by hand; at first: new

    @property
    def is_evidence(self) -> bool:
        """Whether this breaker saw it itself, in calls of its own."""
        return self in _EVIDENCE


_EVIDENCE: Final = frozenset(
    {
        CircuitCause.FAILURES,
        CircuitCause.FAILURE_RATE,
        CircuitCause.SLOW_RATE,
        CircuitCause.PROBES_FAILED,
        CircuitCause.PROBES_TOO_LONG,
    }
)


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A circuit went from `old` to `new`. `seconds`: how long it will be open or may be half-open (None: no limit);
    `error`: the failure that was one too many, where one was."""

    name: str
    old: CircuitState
    new: CircuitState
    cause: CircuitCause
    seconds: float | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class CircuitRejection:
    """A call was refused. `retry_after` in seconds, where it is known."""

    name: str
    state: CircuitState
    retry_after: float | None


class CallOutcome(StrEnum):
    """What a breaker makes of a call."""

    SUCCESS = "success"  # it answered, be it with an error that is its caller's fault
    FAILURE = "failure"
    NEITHER = "neither"  # cancelled, or ended by us: says nothing about what was called, unless it was slow


@dataclass(frozen=True, slots=True)
class CircuitCall:
    """A call that had passed a breaker ended after `seconds`. `slow` by the window's measure."""

    name: str
    outcome: CallOutcome
    seconds: float
    slow: bool
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class TimeoutDetails:
    """A call was given up `seconds` after it had begun. `by_deadline`: its caller's time was over before its own."""

    name: str
    seconds: float
    by_deadline: bool


@dataclass(frozen=True, slots=True)
class FallbackDetails:
    """`error` was answered with the fallback."""

    name: str
    error: Exception


class OnCircuitChange(Protocol):
    """Called in the order of the changes, on whichever task or thread made one: it must be quick."""

    def __call__(self, details: CircuitChange, /) -> None: ...


class OnCircuitRejection(Protocol):
    """Called before the caller sees the refusal: it must be quick."""

    def __call__(self, details: CircuitRejection, /) -> None: ...


class OnCircuitCall(Protocol):
    """Called after every call that had passed: it must be quick. Without one, no call is measured for it."""

    def __call__(self, details: CircuitCall, /) -> None: ...


class OnTimeout(Protocol):
    """Called before the caller sees the error: it must be quick."""

    def __call__(self, details: TimeoutDetails, /) -> None: ...


class OnFallback(Protocol):
    """Called before the fallback is made: it must be quick."""

    def __call__(self, details: FallbackDetails, /) -> None: ...


@dataclass(frozen=True, slots=True)
class SharingDetails:
    """A shared circuit goes by itself from now on, because of `error`; or (None) is shared again."""

    name: str
    error: Exception | None


class OnSharing(Protocol):
    """Called on the task that shares: it must be quick."""

    def __call__(self, details: SharingDetails, /) -> None: ...
