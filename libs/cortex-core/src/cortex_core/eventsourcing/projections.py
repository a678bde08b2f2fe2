"""Projections: what can be read from the events, kept in tables that can be made again at any time.

This is the role a projection plays, and what is told of its progress. A generation is one set of its rows: a rebuild
fills the next one beside the one that is shown. Next: `projector.py` runs a projection.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from cortex_core.eventsourcing.checkpoints import Checkpoint, Parked, Stage
from cortex_core.eventsourcing.records import RecordedEvent
from cortex_core.kernel.errors import CortexError, Kind

T_contra = TypeVar("T_contra", contravariant=True)

_LONGEST: Final = 500


class RebuildInProgress(CortexError):
    """A generation of this projection is being built already: wait for it, or abandon it."""

    code, kind = "projection.rebuild-in-progress", Kind.CONFLICT
    attempted = False

    def __init__(self, projection: str, generation: int) -> None:
        super().__init__(
            f"generation {generation} of {projection} is being built; wait for it, or abandon it",
            projection=projection,
            generation=generation,
        )


class Projection(Protocol[T_contra]):
    """The methods write through the transaction they are given, the store's own, and nowhere else: then each event has
    its effect once. They must not look at a clock, or at anything but the events and their own rows: then a rebuild
    makes the same again. Events are of every tenant; the context's tenant is not theirs, `event.tenant` is."""

    @property
    def name(self) -> str:
        """Of the checkpoints: it stays for ever."""
        ...

    @property
    def version(self) -> int:
        """Of the logic, from 1. Raised when `apply` changes, it makes the projector build a new generation."""
        ...

    @property
    def handles(self) -> Collection[str] | None:
        """The event types `apply` is given, in today's words (after upcasting); all others only move the checkpoint.
        None: every type there is, also one that it has to refuse."""
        ...

    async def begin(self, transaction: T_contra, generation: int) -> None:
        """Makes an empty place for the generation's rows."""
        ...

    async def apply(self, transaction: T_contra, generation: int, events: Sequence[RecordedEvent]) -> None:
        """At least one event, in the order of their positions. An error that time can heal (`CortexError.retryable`,
        TimeoutError, ConnectionError) is tried again; any other is the event's fault."""
        ...

    async def drop(self, transaction: T_contra, generation: int) -> bool:
        """Clears away as many of its rows as make no writer wait for long. True while there are more."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands after a round. `lag` counts positions up to the newest event, `behind` is the age in
    seconds of the oldest event not applied yet, both 0 where there is none; `events` is how many the round applied."""

    projection: str
    generation: int
    stage: Stage
    position: int
    lag: int
    behind: float
    events: int
    parked: int = 0


@dataclass(frozen=True, slots=True)
class ProjectionTrouble:
    """A round that failed: of which generation (0: before any was known), at which position, the how-manieth in a row,
    and how long (seconds) until the next. `event` is the one at fault, where one is; `parked` that its stream was set
    aside for it, so that the others go on."""

    projection: str
    generation: int
    position: int
    attempt: int
    delay: float
    error: Exception
    event: RecordedEvent | None = None
    parked: bool = False

    @property
    def code(self) -> str:
        return code_of(self.error)

    @property
    def retryable(self) -> bool:
        return is_transient(self.error)

    def fields(self) -> dict[str, Any]:
        """For a log line. What the event says is not in it."""
        return {
            "projection": self.projection,
            "generation": self.generation,
            "position": self.position,
            "at_fault": self.event and f"{self.event.type} {self.event.stream}/{self.event.version}",
            "parked": self.parked,
            "attempt": self.attempt,
            "delay": round(self.delay, 3),
            "code": self.code,
            "error": type(self.error).__name__,
            "retryable": self.retryable,
        }


class OnProgress(Protocol):
    """Told after each round of each generation, also one without events: gauges stay fresh. It must be quick."""

    def __call__(self, progress: Progress, /) -> None: ...


class OnProjectionTrouble(Protocol):
    """Called before the wait: it must be quick."""

    def __call__(self, details: ProjectionTrouble, /) -> None: ...


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """As the database has it now. `behind` (seconds, of the live generation) as in `Progress`."""

    projection: str
    head: int
    behind: float
    generations: Sequence[Checkpoint]
    parked: Mapping[int, Sequence[Parked]] = field(default_factory=dict)

    @property
    def live(self) -> Checkpoint | None:
        return next((each for each in self.generations if each.stage is Stage.LIVE), None)

    @property
    def lag(self) -> int:
        """Positions that the live generation has still to pass."""
        return max(0, self.head - (self.live.position if self.live else 0))


def is_transient(error: Exception) -> bool:
    """Whether time alone may heal it."""
    if isinstance(error, CortexError):
        return error.retryable
    return isinstance(error, TimeoutError | ConnectionError)


def code_of(error: Exception) -> str:
    """Stable, and free of what an event says: for metrics and rows."""
    return error.code if isinstance(error, CortexError) else type(error).__name__


def reason_of(error: Exception) -> str:
    """What it says, as any database can keep it: at most 500 characters, none of them NUL or half of one."""
    return str(error)[:_LONGEST].replace("\0", "?").encode(errors="replace").decode()
