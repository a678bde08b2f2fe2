"""The bus as a role. Contract: `cortex_core.testing.contracts.bus.EventBusContract`, which every bus passes.

Two ways to hear: `consume` shares the work of a topic within a named group, at least once, in order of publication
per topic, with retry and dead letters; `subscribe` gives every subscriber every event from now on, at most once per
connection, where a gap is noticed and filled. Refuses to know what events mean.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cortex_core.events.envelope import CloudEvent
from cortex_core.kernel.errors import CortexError, Kind

Handler = Callable[[CloudEvent], Awaitable[None]]
"""Returns when the event has had its effect. A CortexError with `retryable` asks for another delivery; any other error
sends the event to the group's dead letters."""


class UnknownEvent(CortexError):
    """A type or schema version this consumer has never heard of. Goes to the dead letters."""

    code, kind = "event.unknown", Kind.UNPROCESSABLE


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """How a group treats its deliveries. Times in seconds.

    An event whose handler asks for a retry is delivered at most `attempts` times, waiting `backoff` · 2ⁿ (at most
    `max_backoff`, full jitter) in between, then becomes a dead letter. An entry whose consumer has been silent for
    `claim_after` is taken over by another of the group. `batch` entries are fetched at once.
    """

    attempts: int = 5
    backoff: float = 0.2
    max_backoff: float = 10.0
    claim_after: float = 30.0
    batch: int = 64

    def __post_init__(self) -> None:
        for name in ("attempts", "backoff", "max_backoff", "claim_after", "batch"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event a group could not take, and why. `entry` is its place in the dead-letter stream."""

    entry: str
    group: str
    event: CloudEvent | None  # None where what came was no event at all: then `raw` is all there is
    raw: bytes
    code: str
    reason: str
    attempts: int
    time: datetime


class Subscription(Protocol):
    """A running consumer or subscriber."""

    async def aclose(self) -> None:
        """Stops taking new events and returns when the handler in progress has ended."""
        ...


class EventBus(Protocol):
    """See the module. Every method may be called from any task of the loop that made the bus."""

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """All of `events`, in order; durable when it returns. Raises BusUnavailable-like CortexError (retryable)."""
        ...

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        """Joins `group`. A group new to a topic begins with the oldest event kept. Does not fail when the bus is down:
        it connects as soon as it can."""
        ...

    async def subscribe(self, topics: Collection[str], handler: Handler) -> Subscription:
        """Every event of `topics` published from now on. An error of `handler` is logged and counted, and never stops
        the others (original's defect 8)."""
        ...

    async def dead_letters(self, group: str, *, limit: int = 100) -> list[DeadLetter]:
        """The oldest first."""
        ...

    def subscriber_count(self) -> int:
        """Handlers at work through this bus object."""
        ...

    async def check(self) -> None:
        """Returns when the bus answers. Raises a retryable CortexError when it does not."""
        ...

    async def aclose(self) -> None:
        """Closes every subscription, then the connections."""
        ...
