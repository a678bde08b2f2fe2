"""Sliding windows: how many of the last calls failed or were slow, in constant time and memory.

`CountWindow` looks at the last so many calls, `TimeWindow` at those that ended in the last so many seconds. Both are
settings: each breaker keeps a tally of its own, under its own lock. Refuses to know time: it is handed in.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cortex_core.resilience.bounds import number, whole
from cortex_core.resilience.hooks import CircuitCause


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """What a window holds. A call that failed slowly is counted in both."""

    calls: int
    failures: int
    slow: int


class Tally(Protocol):
    """A window at work."""

    def record(self, now: float, failed: bool, slow: bool) -> CircuitCause | None:
        """Counts a call that ended at `now` (seconds, monotonic). The cause, where the circuit should open by it."""
        ...

    def counts(self, now: float) -> WindowCounts: ...

    def clear(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """At which share of the window's calls a circuit opens: at `failure_rate` that failed, at `slow_rate` that took
    longer than `slow_after` seconds, whatever ended them (0 < rate ≤ 1; None: never), and not before it holds
    `minimum_calls`. `slow_after` is to be shorter than callers' patience: who leaves before has seen nothing slow."""

    failure_rate: float | None = None
    slow_rate: float | None = None
    slow_after: float | None = None
    minimum_calls: int = 10

    def _check(self) -> None:
        for name, rate in (("failure_rate", self.failure_rate), ("slow_rate", self.slow_rate)):
            if rate is not None:
                number(name, rate, above=0, most=1)
        if self.failure_rate is None and self.slow_rate is None:
            raise ValueError("failure_rate or slow_rate is needed: a window that limits nothing never opens a circuit")
        if (self.slow_rate is None) != (self.slow_after is None):
            raise ValueError("slow_rate and slow_after need each other")
        if self.slow_after is not None:
            number("slow_after", self.slow_after, above=0, unit="seconds")
        whole("minimum_calls", self.minimum_calls)

    def judge(self, counts: WindowCounts) -> CircuitCause | None:
        """Why a circuit with these counts should open."""
        if counts.calls < self.minimum_calls:
            return None
        if self.failure_rate is not None and counts.failures / counts.calls >= self.failure_rate:
            return CircuitCause.FAILURE_RATE
        if self.slow_rate is not None and counts.slow / counts.calls >= self.slow_rate:
            return CircuitCause.SLOW_RATE
        return None


@dataclass(frozen=True)
class CountWindow(_Limits):
    """The last `calls` calls. Raises ValueError naming the argument."""

    calls: int = 100

    def __post_init__(self) -> None:
        whole("calls", self.calls)
        self._check()
        if self.minimum_calls > self.calls:
            raise ValueError(f"minimum_calls is at most calls, {self.calls}: {self.minimum_calls}")

    def tally(self) -> Tally:
        return _CountTally(self.calls, self.judge)


@dataclass(frozen=True)
class TimeWindow(_Limits):
    """The calls that ended in the last `seconds`, forgotten in steps of `seconds / buckets`. Raises ValueError naming
    the argument."""

    seconds: float = 10.0
    buckets: int = 10

    def __post_init__(self) -> None:
        number("seconds", self.seconds, above=0)
        whole("buckets", self.buckets)
        self._check()

    def tally(self) -> Tally:
        return _TimeTally(self.seconds / self.buckets, self.buckets, self.judge)


Judge = Callable[[WindowCounts], CircuitCause | None]
Window = CountWindow | TimeWindow


class _CountTally:
    """A ring of the last outcomes, and its sums."""

    def __init__(self, size: int, judge: Judge) -> None:
        self._size = size
        self._judge = judge
        self._outcomes: deque[tuple[bool, bool]] = deque()
        self._failures = self._slow = 0

    def record(self, now: float, failed: bool, slow: bool) -> CircuitCause | None:
        if len(self._outcomes) == self._size:
            gone_failed, gone_slow = self._outcomes.popleft()
            self._failures -= gone_failed
            self._slow -= gone_slow
        self._outcomes.append((failed, slow))
        self._failures += failed
        self._slow += slow
        return self._judge(self.counts(now))

    def counts(self, now: float) -> WindowCounts:  # noqa: ARG002 - the last calls are the last calls at any time
        return WindowCounts(len(self._outcomes), self._failures, self._slow)

    def clear(self) -> None:
        self._outcomes.clear()
        self._failures = self._slow = 0


class _TimeTally:
    """A ring of buckets, one a step of time, and its sums: what leaves the window is subtracted a bucket at a time."""

    def __init__(self, width: float, buckets: int, judge: Judge) -> None:
        self._width = width
        self._judge = judge
        self._ring = [[0, 0, 0] for _ in range(buckets)]
        self._sums = [0, 0, 0]
        self._newest = 0  # the step that is now, counted from the clock's zero
        self._bucket = self._ring[0]  # of that step
        self._next = -math.inf  # when the next step begins

    def record(self, now: float, failed: bool, slow: bool) -> CircuitCause | None:
        if now >= self._next:
            self._turn(now)
        bucket, sums = self._bucket, self._sums
        bucket[0] += 1
        sums[0] += 1
        if failed:
            bucket[1] += 1
            sums[1] += 1
        if slow:
            bucket[2] += 1
            sums[2] += 1
        if not sums[1] and not sums[2]:
            return None  # nearly always: every rate is above 0
        return self._judge(WindowCounts(*sums))

    def counts(self, now: float) -> WindowCounts:
        self._turn(now)
        return WindowCounts(*self._sums)

    def clear(self) -> None:
        for bucket in (*self._ring, self._sums):
            bucket[:] = (0, 0, 0)

    def _turn(self, now: float) -> None:
        """Empties the buckets whose time has come again: at most all of them, however long nobody called."""
        step = int(now // self._width)
        for passed in range(max(self._newest + 1, step - len(self._ring) + 1), step + 1):
            bucket = self._ring[passed % len(self._ring)]
            for position, count in enumerate(bucket):
                self._sums[position] -= count
            bucket[:] = (0, 0, 0)
        self._newest = max(self._newest, step)
        self._bucket = self._ring[self._newest % len(self._ring)]
        self._next = (self._newest + 1) * self._width
