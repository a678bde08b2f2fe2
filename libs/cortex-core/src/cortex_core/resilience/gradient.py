"""The arithmetic of the adaptive limit: latencies and drops in, a limit out. No lock, no clock, no calls."""

import math
from dataclasses import dataclass
from typing import Final

from cortex_core.resilience.bounds import number, seconds, whole

_QUARTER: Final = 0.25  # of the limit: with so few inside, nobody waits for anybody (see Gradient)
_BATCH: Final = 10  # calls of an idle callee that make one reading of the long-term latency
_BATCH_WEIGHT: Final = 0.5  # of a new reading in it
_LONGEST_PROBE: Final = 5.0  # short-term latencies: one to drain, and then the batch, stragglers included
_SPARSEST_PROBE: Final = 50.0  # short-term latencies between two probes: they cost a tenth of the time at most


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientRules:
    """What a limit was told: see AdaptiveLimit."""

    initial: int
    minimum: int
    maximum: int
    smoothing: float
    tolerance: float
    backoff: float
    window: int
    probe_interval: float

    def __post_init__(self) -> None:
        whole("minimum", self.minimum)
        whole("maximum", self.maximum, least=self.minimum)
        whole("initial", self.initial, least=self.minimum, most=self.maximum)
        number("smoothing", self.smoothing, above=0, most=1)
        number("tolerance", self.tolerance, least=1)
        number("backoff", self.backoff, above=0, below=1)
        whole("window", self.window)
        seconds("probe_interval", self.probe_interval)


class Gradient:
    """`limit` (a float: the smoothing needs the fractions), `short` and `long` latency in seconds (0: not known yet).

    In balance, limit = limit · tolerance · long / short + √limit: a callee with c workers gets from 1.5 · c calls
    (large c) to 3 · c (c around 1). A quarter of that is less than c, where no call waits for another.
    """

    def __init__(self, rules: GradientRules, now: float) -> None:
        self._rules = rules
        self.limit = float(rules.initial)
        self.short = self.long = 0.0
        self._window = _Window()
        self._batch = Batch()
        self._stuck = 0  # calls inside of batches that were given up
        self._read_at, self._read_limit = now, self.limit  # at the last reading of an idle callee
        self._probe_end: float | None = None
        self._backed_off_at = -math.inf

    def places(self, now: float) -> int:
        """How many calls may be inside: the limit, or a quarter of it while a probe waits for the callee to idle."""
        if self._probe_end is not None and now >= self._probe_end:
            self._end_probe(now)
        return int(self.limit) if self._probe_end is None else min(int(self.limit), self._quarter + self._stuck)

    def began(self, inside: int, now: float) -> "Batch | None":
        """A call began as one of `inside`. The batch it counts in, if it found the callee idle."""
        is_looked_at = self._is_looked_at(now)
        if inside == 1:
            self._stuck = 0  # there is nobody else: who was given up has left since, be it without a word
        if is_looked_at or inside - self._stuck > self._quarter:
            return None
        self._batch.begun += 1
        self._batch.newest = now
        return self._batch

    def succeeded(self, seconds: float, *, inside: int, batch: "Batch | None", now: float) -> None:
        """A call took `seconds`; with it, `inside` calls ran when it ended; `batch` is what it began in."""
        self._came_back(batch)
        if batch is not None:
            batch.ended += 1
            batch.total += seconds
            if batch is self._batch and batch.ended >= _BATCH:
                self._learn(now)
        if self._probe_end is not None:
            return
        self._window.add(seconds, inside)
        if self._window.count >= self._rules.window:
            self._move(now)

    def failed(self, batch: "Batch | None") -> None:
        """A call ended whose time says nothing."""
        self._came_back(batch)
        if batch is not None:
            batch.begun -= 1

    def dropped(self, began: float, now: float) -> None:
        """A call that began at `began` was dropped. Counts once a round: calls from before the last fall do not."""
        if began < self._backed_off_at:
            return
        self._backed_off_at = now
        self._window = _Window()
        self.limit = max(float(self._rules.minimum), self.limit * self._rules.backoff)

    @property
    def _quarter(self) -> int:
        return max(1, int(self.limit * _QUARTER))

    def _learn(self, now: float) -> None:
        reading = self._batch.total / _BATCH
        self.long = reading if self.long == 0.0 else self.long + _BATCH_WEIGHT * (reading - self.long)
        self._batch = Batch()
        self._end_probe(now)

    def _end_probe(self, now: float) -> None:
        self._read_at, self._read_limit = now, self.limit
        self._probe_end = None

    @property
    def _patience(self) -> float:
        return max(self._rules.probe_interval, _SPARSEST_PROBE * self.short)

    def _is_looked_at(self, now: float) -> bool:
        """Whether a whole batch is under way. One of which a call has not ended for too long is given up: it might
        never be read. Such calls are no longer counted among those inside, so that others are seen to be alone."""
        batch = self._batch
        if batch.begun > batch.ended and now - batch.newest >= self._patience:
            self._stuck += batch.begun - batch.ended
            batch.given_up = True
            self._batch = Batch()
        return self._batch.begun == _BATCH

    def _came_back(self, batch: "Batch | None") -> None:
        if batch is not None and batch.given_up:
            self._stuck -= 1

    def _doubts(self, now: float) -> bool:
        """Whether it is time to look at the idle callee: never seen yet, not for long, or the limit halved since."""
        if self._is_looked_at(now):
            return False
        return self.long == 0.0 or now - self._read_at >= self._patience or self.limit < self._read_limit / 2

    def _move(self, now: float) -> None:
        """The end of a window: the limit takes a step."""
        window, self._window = self._window, _Window()
        self.short = window.mean
        if window.most < self.limit / 2:
            return  # nobody needed the places: that says nothing of what the callee can bear
        if self._doubts(now):
            self._probe_end = now + _LONGEST_PROBE * self.short
        if self.long == 0.0:
            return
        gradient = max(0.5, min(1.0, self._rules.tolerance * self.long / self.short)) if self.short > 0.0 else 1.0
        wanted = self.limit * gradient + math.sqrt(self.limit)
        smoothed = self.limit + self._rules.smoothing * (wanted - self.limit)
        self.limit = min(float(self._rules.maximum), max(float(self._rules.minimum), smoothed))


class Batch:
    """The first calls to begin on an idle callee. It is read when all of them have ended: the first to end are the
    fast ones, and would make the callee look faster than it is. `newest`: when the last of them began."""

    __slots__ = ("begun", "ended", "given_up", "newest", "total")

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.newest = self.total = 0.0
        self.given_up = False


class _Window:
    """Latencies of one step, added up; and the most calls that were inside meanwhile."""

    __slots__ = ("count", "most", "total")

    def __init__(self) -> None:
        self.count = self.most = 0
        self.total = 0.0

    def add(self, seconds: float, inside: int) -> None:
        self.count += 1
        self.total += seconds
        self.most = max(self.most, inside)

    @property
    def mean(self) -> float:
        return self.total / self.count
