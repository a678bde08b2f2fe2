"""Figures: orders by outcome, whatever the order their events come in.

An order is active from its creation to its outcome. Events of one order can overtake each other, so an outcome can be
known before the creation is: such an order is counted by outcome and is not active, and its creation, when it comes,
makes it created and nothing more.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from cortex_analytics.domain.durations import Durations

OrderId = NewType("OrderId", str)


class Outcome(StrEnum):
    """How an order ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Created:
    """An order began."""

    order_id: OrderId


@dataclass(frozen=True, slots=True)
class Ended:
    """An order ended. `seconds` is what its processing took, where that is to be measured."""

    order_id: OrderId
    outcome: Outcome
    seconds: float | None = None


Fact = Created | Ended


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known at one moment. `active` is no difference of the totals: see the module."""

    active: int = 0
    created: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    durations: Durations = field(default_factory=Durations)
