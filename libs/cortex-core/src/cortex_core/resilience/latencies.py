"""How long calls have taken lately, and a percentile of it. Owns the last few hundred durations, and no clock."""

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from cortex_core.resilience.bounds import number, seconds, whole

_KEPT: Final = 256  # durations: a 99th percentile still has two above it
_STALE: Final = 16  # new durations until the percentile is worked out anew: sorting is not for every call


@dataclass(frozen=True, slots=True)
class Percentile:
    """`Percentile(95)`: as long as 95 of 100 recent calls took at most; `until_known` seconds while there were too few.

    `of` is above 0 and below 100; `at_least` (calls, 1 … 256) says how few are too few. Raises ValueError.
    """

    of: float
    until_known: float = 1.0
    at_least: int = 20

    def __post_init__(self) -> None:
        number("of", self.of, above=0, below=100)
        seconds("until_known", self.until_known, or_zero=True)
        whole("at_least", self.at_least, most=_KEPT)


class Latencies:
    """The most recent 256 durations, in seconds. Safe to share among threads."""

    def __init__(self, percentile: Percentile) -> None:
        self._percentile = percentile
        self._durations: deque[float] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._fresh = 0
        self._value = percentile.until_known

    @property
    def value(self) -> float:
        """The percentile, in seconds: the smallest duration that at least `of` in 100 did not exceed."""
        return self._value

    def add(self, seconds: float) -> None:
        with self._lock:
            self._durations.append(seconds)
            self._fresh += 1
            known = len(self._durations)
            if known == self._percentile.at_least or (known > self._percentile.at_least and self._fresh >= _STALE):
                self._fresh = 0
                rank = math.ceil(known * self._percentile.of / 100)
                self._value = sorted(self._durations)[rank - 1]
