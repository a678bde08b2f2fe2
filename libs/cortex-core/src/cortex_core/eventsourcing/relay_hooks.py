"""What the relay tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

The chassis supplies hooks that count and log. A hook that raises is logged and never stops the outbox.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from cortex_core.eventsourcing.leadership import LeadershipDetails
from cortex_core.kernel.errors import CortexError

_log = logging.getLogger(__name__)

Stage = Literal["read", "look", "publish", "mark", "repair"]


@dataclass(frozen=True, slots=True)
class RelayError:
    """A round that failed: in which stage, the how-manieth in a row, and how long (seconds) until the next.

    `retryable` False means that time alone will not heal it: the relay goes on trying, but somebody should look.
    """

    stage: Stage
    attempt: int
    delay: float
    messages: int
    error: Exception

    @property
    def retryable(self) -> bool:
        if isinstance(self.error, CortexError):
            return self.error.retryable
        return isinstance(self.error, TimeoutError | ConnectionError)

    def fields(self) -> dict[str, Any]:
        """For a log line."""
        return {
            "stage": self.stage,
            "attempt": self.attempt,
            "delay": round(self.delay, 3),
            "messages": self.messages,
            "error": type(self.error).__name__,
            "code": getattr(self.error, "code", None),
            "reason": str(self.error),
            "retryable": self.retryable,
        }


@dataclass(frozen=True, slots=True)
class BacklogDetails:
    """How many messages wait, and since when the first of them does."""

    pending: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class PublishedDetails:
    """Messages that reached the bus as batch `batch`, and are marked."""

    messages: int
    batch: int


@dataclass(frozen=True, slots=True)
class LossDetails:
    """The bus has lost what came after batch `has` (0: everything); the store knows that it was sent up to `sent`."""

    has: int
    sent: int


@dataclass(frozen=True, slots=True)
class RepairDetails:
    """Messages that were published again, up to batch `batch`. `complete` says that nothing is missing any more."""

    messages: int
    batch: int
    complete: bool


class RelayHooks(Protocol):
    """Called on the task that relays: all of them must be quick. `on_error` comes before the wait."""

    def on_turn(self, details: LeadershipDetails, /) -> None: ...
    def on_backlog(self, details: BacklogDetails, /) -> None: ...
    def on_published(self, details: PublishedDetails, /) -> None: ...
    def on_loss(self, details: LossDetails, /) -> None: ...
    def on_repair(self, details: RepairDetails, /) -> None: ...
    def on_error(self, details: RelayError, /) -> None: ...


class LoggingRelayHooks:
    """What speaks where nobody else listens: trouble goes to the standard logging, success stays silent."""

    def on_turn(self, details: LeadershipDetails, /) -> None:
        _log.info("the relay's lease: %s", details.fields())

    def on_backlog(self, details: BacklogDetails, /) -> None:
        """Ordinary life."""

    def on_published(self, details: PublishedDetails, /) -> None:
        """Ordinary life."""

    def on_loss(self, details: LossDetails, /) -> None:
        _log.warning("the bus has lost what came after batch %d of %d", details.has, details.sent)

    def on_repair(self, details: RepairDetails, /) -> None:
        if details.complete:
            _log.warning("the bus is repaired, up to batch %d", details.batch)

    def on_error(self, details: RelayError, /) -> None:
        _log.warning("the relay waits: %s", details.fields())


class SafeRelayHooks:
    """The same hooks, which cannot hurt: what they raise is logged."""

    def __init__(self, hooks: RelayHooks | None) -> None:
        hooks = hooks or LoggingRelayHooks()
        self.on_turn = _safe(hooks.on_turn)
        self.on_backlog = _safe(hooks.on_backlog)
        self.on_published = _safe(hooks.on_published)
        self.on_loss = _safe(hooks.on_loss)
        self.on_repair = _safe(hooks.on_repair)
        self.on_error = _safe(hooks.on_error)


def _safe(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    def call(details: object) -> None:
        try:
            hook(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not stop the outbox
            _log.exception("a relay hook failed")

    return call
