"""What limiters are held against: who was admitted when, kept in full, and the rule read from it literally."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Admitted = Sequence[tuple[int, int]]
"""When, and how many units; in the order of time."""


def most_in_any_window(admitted: Admitted, window: int) -> int:
    """The most units within [a, a + window), over every a. The fullest such span begins with an admission."""
    times = [moment for moment, _ in admitted]
    sums = [0]
    for _, units in admitted:
        sums.append(sums[-1] + units)
    return max(
        (sums[bisect_left(times, begin + window)] - sums[bisect_left(times, begin)] for begin in times), default=0
    )


def in_window(admitted: Admitted, end: int, window: int) -> int:
    """The units within (end - window, end]."""
    times = [moment for moment, _ in admitted]
    return sum(units for _, units in admitted[bisect_right(times, end - window) : bisect_right(times, end)])


class SlidingModel:
    """At most `limit` in any window, exactly."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window = limit, window
        self.admitted: list[tuple[int, int]] = []

    def fits(self, now: int, cost: int) -> bool:
        return in_window(self.admitted, now, self.window) + cost <= self.limit

    def charge(self, now: int, cost: int) -> None:
        self.admitted.append((now, cost))


class FixedModel:
    """At most `limit` in each window laid from zero."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window = limit, window
        self.counts: dict[int, int] = {}

    def fits(self, now: int, cost: int) -> bool:
        return self.counts.get(now // self.window, 0) + cost <= self.limit

    def charge(self, now: int, cost: int) -> None:
        self.counts[now // self.window] = self.counts.get(now // self.window, 0) + cost


class BucketModel:
    """A bucket of `burst` tokens that gets one every `interval`, in small change so that nothing is rounded."""

    def __init__(self, burst: int, interval: int) -> None:
        self.interval, self.full = interval, burst * interval
        self.level, self.at = self.full, 0

    def fits(self, now: int, cost: int) -> bool:
        return self._level(now) >= cost * self.interval

    def charge(self, now: int, cost: int) -> None:
        self.level, self.at = self._level(now) - cost * self.interval, now

    def _level(self, now: int) -> int:
        return min(self.full, self.level + now - self.at)
