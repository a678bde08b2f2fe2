"""What an actor system tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

A hook is called on the event loop, right where it happens: it must be quick. One that raises is logged and costs
nobody anything.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from cortex_core.actors.address import ActorRef
from cortex_core.actors.supervision import Directive

D = TypeVar("D")

log = logging.getLogger("cortex_core.actors")


class Undelivered(StrEnum):
    """Why nobody received a message."""

    STOPPED = "stopped"  # the actor had stopped, or did before the message's turn
    OVERFLOW = "overflow"  # its mailbox was full, and its policy is to drop
    ABANDONED = "abandoned"  # its asker had left before its turn


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`message` to `recipient` was received by nobody."""

    recipient: ActorRef
    message: Any
    sender: ActorRef | None
    reason: Undelivered


@dataclass(frozen=True, slots=True)
class Failure:
    """An actor failed with `error`. `directive` is what was done about it: STOP also where restarts were used up.

    `restarts` is how many count within the window, this one included; `delay` (seconds) the wait before it.
    """

    ref: ActorRef
    error: Exception
    directive: Directive
    restarts: int
    delay: float


class StopReason(StrEnum):
    """Why an actor is no more."""

    ASKED = "asked"  # somebody stopped it, or it stopped itself
    FAILED = "failed"  # its supervision said so
    PARENT = "parent"  # its parent stopped, or was restarted
    DRAINED = "drained"  # its system was drained
    CANCELLED = "cancelled"  # its task was cancelled: the event loop is being closed, or a drain's time was over


@dataclass(frozen=True, slots=True)
class Started:
    """An actor is ready: for the first time, after a restart (`restarts` > 0), or activated anew."""

    ref: ActorRef
    restarts: int


@dataclass(frozen=True, slots=True)
class Passivated:
    """An actor left memory: the next message activates a fresh one."""

    ref: ActorRef


@dataclass(frozen=True, slots=True)
class Terminated:
    """The actor at `ref` is no more: what its watchers receive. `error` where it was a failure."""

    ref: ActorRef
    reason: StopReason
    error: Exception | None = None


class OnDeadLetter(Protocol):
    """Called for each message that nobody received. Refusals that the sender was told of are none."""

    def __call__(self, details: DeadLetter, /) -> None: ...


class OnFailure(Protocol):
    """Called for each failure, once what to do is decided. Without one, failures are logged."""

    def __call__(self, details: Failure, /) -> None: ...


class OnStarted(Protocol):
    """Called once `started` has returned."""

    def __call__(self, details: Started, /) -> None: ...


class OnPassivated(Protocol):
    """Called once `stopped` has returned."""

    def __call__(self, details: Passivated, /) -> None: ...


class OnTerminated(Protocol):
    """Called before the watchers are told."""

    def __call__(self, details: Terminated, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorHooks:
    """Who listens to what."""

    on_dead_letter: OnDeadLetter | None = None
    on_failure: OnFailure | None = None
    on_started: OnStarted | None = None
    on_passivated: OnPassivated | None = None
    on_terminated: OnTerminated | None = None


def tell(hook: Callable[[D], None] | None, details: D) -> None:
    """Calls `hook`, if there is one; what it raises is logged, for a listener's mistake must not cost a message."""
    if hook is None:
        return
    try:
        hook(details)
    except Exception:
        log.exception("an actor hook failed")
