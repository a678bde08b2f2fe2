"""Checkpoints: how far a projection has come, one row a generation, moved in the transaction of what it stands for.

Owns the compare-and-set: a checkpoint moves only from where its mover believes it to be. Of several processes that
apply the same events one moves it, and the others' effects are undone with their transactions. A row also says what its
generation is: `building` beside the one that is shown, `live`, or `retired`, to be cleared away.
Next: `projector.py` moves them, `generations.py` begins and switches them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)


class Stage(StrEnum):
    """Of a generation. It is born building (the very first: live), and goes down this list."""

    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to `position` is in the tables of `generation`. `logic` is the version of what made them."""

    projection: str
    generation: int
    stage: Stage
    position: int
    logic: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    """A stream that a generation has set aside at an event it could not take. Its later events are passed over too."""

    projection: str
    generation: int
    tenant: str
    stream: str
    position: int
    code: str
    reason: str
    time: datetime


class Checkpoints(Protocol[T_contra]):
    """Contract: `testing.contracts.eventstore`. All raise EventStoreUnavailable."""

    async def generations(self, projection: str) -> list[Checkpoint]:
        """All there are, the oldest first."""
        ...

    async def locked(self, transaction: T_contra, projection: str) -> list[Checkpoint]:
        """The same within a transaction, and until it ends nobody else moves or turns one of them."""
        ...

    async def begin(self, transaction: T_contra, projection: str, generation: int, stage: Stage, logic: int) -> bool:
        """A row at position 0. False, and nothing done, where somebody else has begun that generation."""
        ...

    async def advance(self, transaction: T_contra, checkpoint: Checkpoint, position: int) -> bool:
        """From where `checkpoint` says it is. False, and nothing done, where it is not there, or not in that stage."""
        ...

    async def turn(self, transaction: T_contra, checkpoint: Checkpoint, stage: Stage) -> bool:
        """From the stage that `checkpoint` says. False, and nothing done, where it is not in that."""
        ...

    async def forget(self, transaction: T_contra, projection: str, generation: int) -> None:
        """The row and what it has parked."""
        ...

    async def park(self, transaction: T_contra, parked: Parked) -> None:
        """A stream that is parked stays as it was parked first."""
        ...

    async def parked(self, projection: str, generation: int) -> list[Parked]:
        """In the order of their positions."""
        ...
