"""The instruments: counter, gauge, histogram, each with its children by label values.

What counters and histograms hear waits in plain numbers until `settle`: a request leaves a handful of figures behind,
and somebody looks every few seconds. Owns what waits, and promises that nothing is lost or counted twice, whichever
threads count and settle (test_instruments.py). Refuses to let anything wait where this process is one of several
workers: another one may be asked for its figures at any moment, and it may be killed.
"""

from bisect import bisect_left
from collections.abc import Callable
from threading import RLock
from typing import Any, Final, Generic, Self, TypeVar

import prometheus_client as prometheus

from cortex_core.observability.metrics_of_workers import is_one_of_several

OTHER: Final = "other"

Native = TypeVar("Native", prometheus.Counter, prometheus.Gauge, prometheus.Histogram)


class Instrument(Generic[Native]):
    """A metric, or one child of it. With label names still open only `labels` can be called."""

    def __init__(self, native: Native, labels: tuple[str, ...], max_values: int, overflow: prometheus.Counter) -> None:
        self._native: Native = native
        self._labels = labels
        self._max_values = max_values
        self._overflow = overflow
        self._seen: tuple[set[str], ...] = tuple(set() for _ in labels)
        self._children: dict[tuple[str, ...], Self] = {}

    def labels(self, **values: object) -> Self:
        """The child with these label values, always the same object. Raises ValueError for names not declared."""
        if len(values) != len(self._labels) or not all(name in values for name in self._labels):
            raise ValueError(f"{self._native._name} has the labels {list(self._labels)}, not {sorted(values)}")
        wanted = tuple(str(values[name]) for name in self._labels)
        child = self._children.get(wanted)
        return child if child is not None else self._new_child(wanted)

    def _new_child(self, wanted: tuple[str, ...]) -> Self:
        kept = tuple(map(self._bounded, range(len(wanted)), wanted))
        child = self._children.get(kept)
        if child is None:
            native: Any = self._native.labels(*kept)
            child = self._children[kept] = type(self)(native, (), self._max_values, self._overflow)
        return child

    def settle(self) -> None:
        """Hands on what waits here and in its children."""
        for child in list(self._children.values()):
            child.settle()

    def _bounded(self, position: int, value: str) -> str:
        seen = self._seen[position]
        if value in seen or value == OTHER:
            return value
        if len(seen) >= self._max_values:
            self._overflow.labels(self._native._name, self._labels[position]).inc()
            return OTHER
        seen.add(value)
        return value


class Counter(Instrument[prometheus.Counter]):
    """How often something happened. Only grows."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._direct = bool(self._labels) or is_one_of_several()  # with labels open, the library has the error
        self._lock = RLock()  # see `Tally`
        self._amount = 0.0

    def inc(self, amount: float = 1.0) -> None:
        if self._direct or not amount >= 0:
            return self._native.inc(amount)
        with self._lock:
            self._amount += amount
        return None

    def settle(self) -> None:
        with self._lock:
            amount, self._amount = self._amount, 0.0
        if amount:
            self._native.inc(amount)
        super().settle()


class Gauge(Instrument[prometheus.Gauge]):
    """How much there is of something now."""

    _read: Callable[[], float] | None = None

    def inc(self, amount: float = 1.0) -> None:
        self._native.inc(amount)

    def dec(self, amount: float = 1.0) -> None:
        self._native.dec(amount)

    def follow(self, read: Callable[[], float]) -> None:
        """Shows what `read` says whenever it is asked: it must be quick, and must not raise. Where this process is one
        of several workers, nobody can ask it when another one is scraped: then whenever `refresh` is called."""
        if not is_one_of_several():
            self._native.set_function(read)
            return
        self._read = read
        self.refresh()

    def refresh(self) -> None:
        """Looks again at what this gauge and its children follow."""
        if self._read is not None:
            self._native.set(self._read())
        for child in self._children.values():
            child.refresh()

    def set(self, value: float) -> None:
        self._native.set(value)


class Histogram(Instrument[prometheus.Histogram]):
    """How values are distributed: cumulative buckets, their sum and their count."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._tallies: dict[tuple[Counter, ...], Tally] = {}
        self._own = self.tally()

    def observe(self, value: float) -> None:
        self._own.observe(value)

    def tally(self, *counters: Counter) -> "Tally":
        """For who also counts what it measures: each observation of it is one in each of the counters. The same
        counters have the same tally."""
        tally = self._tallies.get(counters)
        if tally is None:
            direct = bool(self._labels) or is_one_of_several()
            tally = self._tallies[counters] = Tally(self._native, tuple(each._native for each in counters), direct)
        return tally

    def settle(self) -> None:
        for tally in list(self._tallies.values()):
            tally.settle()
        super().settle()


class Tally:
    """What was observed in one place, until somebody looks. See `Histogram.tally`.

    Its lock is reentrant: a request that was dropped counts itself when it is collected, in whatever thread allocates
    something then, and that may be the one that holds the lock. Hence nothing is read before and written after a call.
    """

    __slots__ = ("_bounds", "_counters", "_counts", "_direct", "_histogram", "_lock", "_sum")

    def __init__(self, histogram: prometheus.Histogram, counters: tuple[prometheus.Counter, ...], direct: bool) -> None:
        self._histogram = histogram
        self._counters = counters
        self._direct = direct
        self._bounds: list[float] = histogram._upper_bounds[:-1]  # all but infinity
        self._counts = [0] * len(histogram._upper_bounds)
        self._sum = 0.0
        self._lock = RLock()

    def observe(self, value: float) -> None:
        if self._direct:
            return self._observe_now(value)
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value
        return None

    def settle(self) -> None:
        fresh = [0] * len(self._counts)  # not while it is locked: who is collected by that may count here
        with self._lock:
            counts, self._counts = self._counts, fresh
            total, self._sum = self._sum, 0.0
        number = sum(counts)
        if number == 0:
            return
        self._histogram._sum.inc(total)
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        for counter in self._counters:
            counter.inc(number)

    def _observe_now(self, value: float) -> None:
        self._histogram.observe(value)
        for counter in self._counters:
            counter.inc()
