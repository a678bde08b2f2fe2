"""Durations: a distribution kept as counts, exact where Prometheus asks and within 1 % everywhere else.

A duration is counted in a cell: its segment between Prometheus' bounds, and its logarithmic bucket. Buckets grow by
gamma = (1 + e) / (1 - e), e being the relative error, and bucket i stands for 2 gamma^i / (gamma + 1), which is within
e of everything in it: DDSketch (Masson, Rim, Lee, VLDB 2019, https://www.vldb.org/pvldb/vol12/p2195-masson.pdf). Counts
add up alike in any order, and so does the sum, which is kept in whole microseconds because floats do not.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple, Self

from cortex_core.kernel import CortexError, Kind

BOUNDS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds in seconds, inclusive, as the plan gives them; the segment above the last has no bound."""

RELATIVE_ERROR: Final = 0.01
MAX_SECONDS: Final = 10 * 365 * 86_400
MIN_SECONDS: Final = 1e-6
"""Anything shorter counts as 0: below the resolution of the clocks that measured it."""

# A hair under the promise: the logarithm of a value on a bucket's edge may round to either side of it.
_GAMMA: Final = (1 + 0.999 * RELATIVE_ERROR) / (1 - 0.999 * RELATIVE_ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)
_ZERO: Final = math.floor(math.log(MIN_SECONDS) / _LOG_GAMMA) - 1  # below the bucket of the shortest duration


class ImplausibleDuration(CortexError):
    """A processing time that cannot be one. Its event belongs in the dead letters, not in a mean."""

    code, kind = "analytics.implausible-duration", Kind.UNPROCESSABLE

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds} s is no processing time: 0 to {MAX_SECONDS} are")


class Cell(NamedTuple):
    """Where a duration is counted. Cells sort as their durations do."""

    segment: int
    bucket: int

    @property
    def seconds(self) -> float:
        """What the durations in this cell are taken for."""
        return 0.0 if self.bucket == _ZERO else 2 * math.exp(self.bucket * _LOG_GAMMA) / (_GAMMA + 1)


def cell_of(seconds: float) -> Cell:
    """Raises ImplausibleDuration for what is negative, not finite, or longer than ten years."""
    if not 0 <= seconds <= MAX_SECONDS:  # also false for not-a-number
        raise ImplausibleDuration(seconds)
    bucket = _ZERO if seconds < MIN_SECONDS else math.ceil(math.log(seconds) / _LOG_GAMMA)
    return Cell(bisect_left(BOUNDS, seconds), bucket)


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


@dataclass(frozen=True, slots=True)
class Durations:
    """How many durations fell into each cell, and their sum in microseconds."""

    cells: Mapping[Cell, int] = field(default_factory=dict)
    total_microseconds: int = 0

    def plus(self, seconds: float) -> Self:
        """Raises ImplausibleDuration."""
        cell = cell_of(seconds)
        cells = {**self.cells, cell: self.cells.get(cell, 0) + 1}
        return type(self)(cells, self.total_microseconds + microseconds(seconds))

    @property
    def count(self) -> int:
        return sum(self.cells.values())

    @property
    def sum(self) -> float:
        """Seconds."""
        return self.total_microseconds / 1_000_000

    @property
    def mean(self) -> float | None:
        """Seconds; None of nothing."""
        count = self.count
        return self.sum / count if count else None

    def quantile(self, q: float) -> float | None:
        """The smallest duration that at least the share `q` (0 < q ≤ 1) does not exceed (nearest rank), in seconds and
        within RELATIVE_ERROR of it; None of nothing."""
        if not 0 < q <= 1:
            raise ValueError(f"a quantile is in (0, 1], not {q}")
        ordered = sorted(self.cells)
        rank = math.ceil(q * self.count)
        reached = accumulate(self.cells[cell] for cell in ordered)
        return next((cell.seconds for cell, below in zip(ordered, reached, strict=True) if below >= rank), None)

    def cumulative(self) -> list[int]:
        """For each of BOUNDS, how many durations are at most that, exactly; then how many there are."""
        segments = [0] * (len(BOUNDS) + 1)
        for cell, count in self.cells.items():
            segments[cell.segment] += count
        return list(accumulate(segments))
