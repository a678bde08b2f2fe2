"""Supervision: what becomes of an actor whose `receive` raised, and how often.

Owns the verdict and the restart window (one for one, as Erlang/OTP's `one_for_one` with its intensity and period: the
siblings of an actor that failed notice nothing). Refuses to touch the actor: cell.py carries the verdict out.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cortex_core.actors.bounds import seconds, whole


class Directive(StrEnum):
    """What is done about a failure."""

    RESUME = "resume"  # the same actor goes on with the next message
    RESTART = "restart"  # a fresh one does
    STOP = "stop"
    ESCALATE = "escalate"  # as if the parent itself had failed with this error


def always_restart(error: Exception) -> Directive:  # noqa: ARG001 - whatever it was
    """A fresh actor knows nothing of what broke the old one."""
    return Directive.RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """`decide(error)` says what is done; a restart only as long as there were fewer than `max_restarts` (≥ 0) in the
    last `within` seconds (> 0), else the actor is stopped.

    Before the n-th restart of the window messages wait for a random time between half and the whole of
    `backoff` · 2ⁿ⁻¹ seconds (≥ 0), at most `max_backoff`. A `decide` that raises, or answers something else, means
    STOP. Raises ValueError for what is out of its bounds.
    """

    max_restarts: int = 3
    within: float = 60.0
    backoff: float = 0.1
    max_backoff: float = 10.0
    decide: Callable[[Exception], Directive] = always_restart

    def __post_init__(self) -> None:
        whole("max_restarts", self.max_restarts, least=0)
        seconds("within", self.within)
        seconds("backoff", self.backoff, or_zero=True)
        seconds("max_backoff", self.max_backoff, or_zero=True)
        if self.max_backoff < self.backoff:
            raise ValueError(f"max_backoff ({self.max_backoff}) must not be less than backoff ({self.backoff})")
        if not callable(self.decide):
            raise ValueError(f"decide must be callable, not {self.decide!r}")  # noqa: TRY004 - settings are refused in one way


class Restarts:
    """The restarts of one actor that still count."""

    __slots__ = ("_rng", "_rules", "_times")

    def __init__(self, rules: Supervision, rng: random.Random) -> None:
        self._rules = rules
        self._rng = rng
        self._times: list[float] = []

    def __len__(self) -> int:
        return len(self._times)

    def next_delay(self, now: float) -> float | None:
        """Seconds until another restart, which counts from `now`; None where there must be none."""
        while self._times and self._times[0] <= now - self._rules.within:
            del self._times[0]
        if len(self._times) >= self._rules.max_restarts:
            return None
        most: float = min(self._rules.max_backoff, self._rules.backoff * 2 ** min(len(self._times), 64))
        self._times.append(now)
        return most * self._rng.uniform(0.5, 1.0)
