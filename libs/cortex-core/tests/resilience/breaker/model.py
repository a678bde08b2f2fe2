"""A circuit on paper: it keeps everything that ever happened and counts it anew each time it is asked."""

import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import CircuitBreaker, CircuitChange, CountWindow, TimeWindow, is_failure
from cortex_core.testing import FakeClock

SLOW = 1.0
ENDINGS = ("ok", "fails", "caller's fault", "cancelled", "refused within", "ended by us")
NO_WORD = ENDINGS[3:]
WINDOWS = (None, "count", "time")


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Missing(CortexError):
    code, kind = "test.missing", Kind.NOT_FOUND


class Ours(CortexError):
    code, kind = "test.ours", Kind.UNAVAILABLE


@dataclass
class Numbers:
    """What both are told. Times are quarters of seconds, so that no rounding tells them apart."""

    threshold: int | None
    window: str | None
    size: int
    failure_rate: float | None
    slow_rate: float | None
    minimum: int
    reset: float
    most: float
    half_open: float
    probes: int
    enough: int

    def breaker(self, clock: FakeClock, heard: list[CircuitChange]) -> CircuitBreaker:
        limits: dict[str, Any] = {"failure_rate": self.failure_rate, "minimum_calls": self.minimum}
        if self.slow_rate is not None:
            limits |= {"slow_rate": self.slow_rate, "slow_after": SLOW}
        windows = {
            "count": lambda: CountWindow(self.size, **limits),
            "time": lambda: TimeWindow(seconds=self.size * 0.5, buckets=self.size, **limits),
            None: lambda: None,
        }
        return CircuitBreaker(
            self.threshold,
            self.reset,
            window=windows[self.window](),
            max_reset_timeout=self.most,
            half_open_timeout=self.half_open,
            probes=self.probes,
            probes_to_close=self.enough,
            is_failure=lambda error: None if isinstance(error, Ours) else is_failure(error),
            clock=clock,
            on_change=heard.append,
        )


@st.composite
def numbers(draw: st.DrawFn) -> Numbers:
    window = draw(st.sampled_from(WINDOWS))
    size = draw(st.integers(1, 6))
    rates = st.sampled_from([None, 0.25, 0.5, 1.0])
    failure_rate, slow_rate = draw(rates), draw(rates)
    if failure_rate is None and slow_rate is None:
        failure_rate = 0.5
    probes = draw(st.integers(1, 4))
    reset = draw(st.sampled_from([1.0, 2.0]))
    return Numbers(
        threshold=draw(st.integers(1, 4)) if window is None else draw(st.sampled_from([None, 2, 3])),
        window=window,
        size=size,
        failure_rate=failure_rate,
        slow_rate=slow_rate if window else None,
        minimum=draw(st.integers(1, size)),
        reset=reset,
        most=draw(st.sampled_from([reset, 3.0, 8.0])),
        half_open=draw(st.sampled_from([1.5, 4.0])),
        probes=probes,
        enough=draw(st.integers(1, probes)),
    )


@dataclass
class Model:
    """A circuit on paper."""

    told: Numbers
    state: str = "closed"
    held: bool = False
    until: float = math.inf
    era: int = 0
    reopenings: int = 0
    ended: list[tuple[float, bool | None, bool]] = field(default_factory=list)  # since it closed: when, failed, slow
    probes: dict[int, str] = field(default_factory=dict)  # of this half-open, by call: flying, good, bad
    history: list[str] = field(default_factory=list)

    def turn(self, state: str, until: float = math.inf, held: bool = False) -> None:
        self.state, self.until, self.held = state, until, held
        self.era += 1
        self.ended, self.probes = [], {}
        self.history.append(state)

    def open(self, since: float) -> None:
        wait = self.told.reset
        for _ in range(self.reopenings):
            wait = min(self.told.most, wait * 2)
        self.turn("open", since + wait)

    def look(self, now: float) -> None:
        if self.state == "half-open" and now >= self.until:
            self.reopenings += 1
            self.open(self.until)

    def begin(self, number: int, now: float) -> int | None:
        """The era in which the call runs; None: refused."""
        self.look(now)
        if self.state == "open" and now >= self.until:
            self.turn("half-open", now + self.told.half_open)
        if self.state == "open" or (self.state == "half-open" and len(self.probes) == self.told.probes):
            return None
        if self.state == "half-open":
            self.probes[number] = "flying"
        return self.era

    def end(self, number: int, era: int, ending: str, slow: bool, now: float) -> None:
        if era == self.era:
            self.look(now)
        if era != self.era or self.held:
            return
        if self.state == "half-open":
            self.end_probe(number, ending, slow, now)
        elif ending not in NO_WORD or slow:
            self.ended.append((now, None if ending in NO_WORD else ending == "fails", slow))
            if self.row() == self.told.threshold or self.window_is_over(now):
                self.open(now)

    def end_probe(self, number: int, ending: str, slow: bool, now: float) -> None:
        if ending in NO_WORD and not slow:
            del self.probes[number]
            return
        self.probes[number] = "bad" if ending == "fails" or slow else "good"
        ends = list(self.probes.values())
        if ends.count("good") == self.told.enough:
            self.reopenings = 0
            self.turn("closed")
        elif self.told.probes - ends.count("bad") < self.told.enough:
            self.reopenings += 1
            self.open(now)

    def row(self) -> int:
        failed = [failure for _, failure, _ in self.ended if failure is not None]
        return len(failed) if all(failed) else failed[::-1].index(False)

    def in_window(self, now: float) -> tuple[int, int, int] | None:
        if self.told.window is None:
            return None
        if self.told.window == "count":
            held = self.ended[-self.told.size :]
        else:
            held = [call for call in self.ended if call[0] // 0.5 > now // 0.5 - self.told.size]
        return len(held), sum(failed is True for _, failed, _ in held), sum(slow for *_, slow in held)

    def window_is_over(self, now: float) -> bool:
        counts = self.in_window(now)
        if counts is None or counts[0] < self.told.minimum:
            return False
        shares = ((self.told.failure_rate, counts[1]), (self.told.slow_rate, counts[2]))
        return any(rate is not None and count / counts[0] >= rate for rate, count in shares)
