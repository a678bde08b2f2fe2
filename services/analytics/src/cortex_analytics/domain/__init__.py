"""What analytics knows: orders counted by outcome, and how long the completed ones took. No I/O, no clock."""

from cortex_analytics.domain.durations import (
    BOUNDS,
    MAX_SECONDS,
    RELATIVE_ERROR,
    Cell,
    Durations,
    ImplausibleDuration,
    cell_of,
    microseconds,
)
from cortex_analytics.domain.figures import Created, Ended, Fact, Figures, OrderId, Outcome

__all__ = [
    "BOUNDS",
    "MAX_SECONDS",
    "RELATIVE_ERROR",
    "Cell",
    "Created",
    "Durations",
    "Ended",
    "Fact",
    "Figures",
    "ImplausibleDuration",
    "OrderId",
    "Outcome",
    "cell_of",
    "microseconds",
]
