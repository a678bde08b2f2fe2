"""The bus as a role. Contract: `cortex_core.testing.contracts.bus.EventBusContract`, which every bus passes.

Two ways to hear: `consume` shares the work of a topic within a named group, at least once, in order of publication
per topic, with retry and dead letters; `subscribe` gives every subscriber every event from now on, at most once per
connection, where a gap is noticed and filled. Refuses to know what events mean.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from cortex_core.events.envelope import CloudEvent
from cortex_core.events.log import DeadLetter, EventLog
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
class Retention:
    """How long a log is kept. Times in seconds.

    Entries older than `keep` go, unless a group has not acknowledged them; dead letters older than `keep_dead` go. A
    group that holds entries for longer than `abandoned_after`, and none of whose members has been heard of for as long,
    is told of (`Strain.ABANDONED`). Looked at every `every`.
    """

    keep: float = 7 * 24 * 3600.0
    keep_dead: float = 90 * 24 * 3600.0
    abandoned_after: float = 30 * 24 * 3600.0
    every: float = 60.0

    def __post_init__(self) -> None:
        for name in ("keep", "keep_dead", "abandoned_after", "every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Marker:
    """How far a publisher has come, written with its events: it lives and dies with them. Values are from 0 to 2⁵³ - 1.

    A bus that has lost its newest events has lost the newest marker, too: that is how a publisher can tell. With
    `after` it need not even ask: the events are published only where the marker stands at that value (0: or is not
    there), so that neither a loss in between nor another publisher goes unnoticed.
    """

    name: str
    value: int
    after: int | None = None

    def __post_init__(self) -> None:
        for what, value in (("value", self.value), ("after", self.after)):
            if value is not None and not 0 <= value < 2**53:  # what Lua's numbers count exactly
                raise ValueError(f"{what} must be from 0 to 2**53 - 1, not {value}")


class Subscription(Protocol):
    """A running consumer or subscriber."""

    async def aclose(self) -> None:
        """Stops taking new events and returns when the handler in progress has ended."""
        ...


class EventBus(Protocol):
    """See the module. Every method may be called from any task of the loop that made the bus."""

    @property
    def log(self) -> EventLog:
        """What operators ask of this bus."""
        ...

    async def publish(self, events: Sequence[CloudEvent], *, marker: Marker | None = None) -> None:
        """All of `events`, in order; durable when it returns. Raises BusUnavailable-like CortexError (retryable).

        `marker` is written at once with the last of them, and only after all others; with no events, by itself. It
        never falls: a lower value than the bus has changes nothing. One with `after` is written whatever it was, or
        nothing is published: MarkerMoved. Raises MalformedEvent for a name that makes no key.
        """
        ...

    async def marker(self, name: str) -> int | None:
        """The highest value that was published under `name`; None where the bus knows of none. Raises as `publish`."""
        ...

    async def consume(
        self, group: str, topics: Collection[str], handler: Handler, policy: ConsumerPolicy | None = None
    ) -> Subscription:
        """Joins `group`. A group new to a topic begins with the oldest event kept. Does not fail when the bus is down:
        it connects as soon as it can. Raises MalformedEvent for a group or topic whose name makes no key."""
        ...

    async def subscribe(self, topics: Collection[str], handler: Handler) -> Subscription:
        """Every event of `topics` published from now on. An error of `handler` is logged and counted, and never stops
        the others (original's defect 8). Raises MalformedEvent for a topic whose name makes no key."""
        ...

    async def dead_letters(self, group: str, *, limit: int = 100) -> list[DeadLetter]:
        """The oldest first. `log` has the rest. Raises as `log.dead_letters`."""
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
