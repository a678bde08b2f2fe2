"""The rules of a circuit, by themselves: no lock, no clock, no caller. `circuit.py` gives them all three."""

import math
import random
from collections import deque

from cortex_core.resilience.breaker.phases import CircuitStatus, Phase
from cortex_core.resilience.breaker.settings import CircuitSettings
from cortex_core.resilience.hooks import CallOutcome, CircuitCause, CircuitChange, CircuitState

_CLOSED, _HALF_OPEN, _OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


class Circuit:
    """One circuit. Times are seconds on one monotonic clock. What happens to it lies in `changes`, oldest first.

    `measured`: a closed circuit wants to know of every success, because it has a window, or somebody listens.
    """

    def __init__(self, name: str, settings: CircuitSettings, rng: random.Random, *, measured: bool) -> None:
        self.name = name
        self.settings = settings
        self.measured = measured
        self.failures = 0  # in a row, while closed
        self.phase = Phase(_CLOSED, CircuitCause.RESET, plain=not measured)
        self.changes: deque[CircuitChange] = deque()
        self._rng = rng
        self._reopened = 0  # probings that failed since it was closed
        self._tally = None if settings.window is None else settings.window.tally()

    def admit(self, now: float) -> Phase | None:
        """The phase a call begins in, or None where it must not. In a half-open one it has taken a probe's place."""
        self._expire(now)
        phase = self.phase
        if phase.state is _OPEN and now >= phase.until:
            until = now + self.settings.half_open_timeout
            phase = self._move(_HALF_OPEN, CircuitCause.RESET_TIMEOUT, now, until)
        if phase.state is _OPEN or (phase.state is _HALF_OPEN and phase.admitted >= self.settings.probes):
            return None
        phase.admitted += phase.state is _HALF_OPEN  # closed: by another thread, since its caller looked
        return phase

    def ended(self, phase: Phase, outcome: CallOutcome, slow: bool, now: float, error: BaseException | None) -> None:
        """A call that began in `phase` ended like this."""
        if phase is not self.phase or phase.held or self._expire(now):
            return  # it speaks of a time that is over, or nobody asks
        if phase.state is _HALF_OPEN:
            self._probed(phase, outcome, slow, now, error)
        elif outcome is not CallOutcome.NEITHER or slow:
            self._counted(outcome, slow, now, error)

    def succeeded(self, phase: Phase, now: float) -> None:
        """`ended` for a call that went well, and not slowly. A closed circuit, as nearly all are, has a short way."""
        if phase is not self.phase or phase.state is not _CLOSED or phase.held:
            return self.ended(phase, CallOutcome.SUCCESS, slow=False, now=now, error=None)
        self.failures = 0
        if self._tally is not None and (cause := self._tally.record(now, failed=False, slow=False)) is not None:
            self._open(cause, now, now)
        return None

    def lost(self) -> None:
        """A block ended of which nothing is known: if a probe is under way, the place of one is for another."""
        phase = self.phase
        if phase.state is _HALF_OPEN and phase.admitted > phase.succeeded + phase.failed:
            phase.admitted -= 1

    def open_for(self, seconds: float, now: float) -> bool:
        """Opens a closed circuit that is not held; True if it did."""
        if self.phase.state is not _CLOSED or self.phase.held:
            return False
        self._move(_OPEN, CircuitCause.TOLD, now, now + seconds)
        return True

    def hold(self, state: CircuitState, now: float) -> None:
        self._move(state, CircuitCause.FORCED, now, held=True)

    def reset(self, now: float) -> None:
        self._close(CircuitCause.RESET, now)

    def status(self, now: float) -> CircuitStatus:
        phase = self.phase
        return CircuitStatus(
            state=phase.state,
            cause=phase.cause,
            until=None if phase.until == math.inf else phase.until,
            held=phase.held,
            failures=self.failures,
            window=None if self._tally is None else self._tally.counts(now),
            probes=phase.admitted,
        )

    def _probed(self, phase: Phase, outcome: CallOutcome, slow: bool, now: float, error: BaseException | None) -> None:
        if outcome is CallOutcome.NEITHER and not slow:
            phase.admitted -= 1  # its place is for another
        elif outcome is CallOutcome.FAILURE or slow:
            phase.failed += 1
            if phase.failed > self.settings.probes - self.settings.probes_to_close:
                self._reopen(CircuitCause.PROBES_FAILED, now, now, error)
        else:
            phase.succeeded += 1
            if phase.succeeded >= self.settings.probes_to_close:
                self._close(CircuitCause.PROBES_SUCCEEDED, now)

    def _counted(self, outcome: CallOutcome, slow: bool, now: float, error: BaseException | None) -> None:
        """`NEITHER` comes here where it was slow, which shows whatever ended it; a row of failures it leaves alone."""
        failed = outcome is CallOutcome.FAILURE
        if outcome is not CallOutcome.NEITHER:
            self.failures = self.failures + 1 if failed else 0
        cause = None if self._tally is None else self._tally.record(now, failed, slow)
        if self.settings.failure_threshold is not None and self.failures >= self.settings.failure_threshold:
            cause = CircuitCause.FAILURES
        if cause is not None:
            self._open(cause, now, now, error)

    def _expire(self, now: float) -> bool:
        """If half-open has had its time: open again, from the moment it was over and not from when somebody noticed."""
        if self.phase.state is not _HALF_OPEN or now < self.phase.until:
            return False
        self._reopen(CircuitCause.PROBES_TOO_LONG, self.phase.until, now)
        return True

    def _reopen(self, cause: CircuitCause, since: float, now: float, error: BaseException | None = None) -> None:
        self._reopened += 1
        self._open(cause, since, now, error)

    def _open(self, cause: CircuitCause, since: float, now: float, error: BaseException | None = None) -> None:
        seconds = self.settings.open_seconds(self._reopened) * self._rng.uniform(1 - self.settings.jitter, 1)
        self._move(_OPEN, cause, now, since + seconds, error=error)

    def _close(self, cause: CircuitCause, now: float) -> None:
        self._reopened = 0
        self._move(_CLOSED, cause, now)

    def _move(
        self,
        state: CircuitState,
        cause: CircuitCause,
        now: float,
        until: float = math.inf,
        *,
        held: bool = False,
        error: BaseException | None = None,
    ) -> Phase:
        old = self.phase.state
        self.failures = 0
        if self._tally is not None:
            self._tally.clear()
        self.phase = Phase(state, cause, until=until, held=held, plain=state is _CLOSED and not self.measured)
        seconds = None if until == math.inf else max(0.0, until - now)
        self.changes.append(CircuitChange(self.name, old, state, cause, seconds, error))
        return self.phase
