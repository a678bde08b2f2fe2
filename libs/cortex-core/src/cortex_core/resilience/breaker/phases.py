"""A circuit's phases. Each change makes a new one, and a call remembers the one it began in: a result whose phase is
over is late, and counts for nothing."""

import math
from dataclasses import dataclass

from cortex_core.resilience.breaker.windows import WindowCounts
from cortex_core.resilience.hooks import CircuitCause, CircuitState


class Phase:
    """`plain`: calls pass, and a success changes nothing. `held`: by hand. What can change does so under the breaker's
    lock: how many probes were let through (`admitted`) and how they ended."""

    __slots__ = ("admitted", "cause", "failed", "held", "plain", "state", "succeeded", "until")

    def __init__(
        self,
        state: CircuitState,
        cause: CircuitCause,
        *,
        until: float = math.inf,
        held: bool = False,
        plain: bool = False,
    ) -> None:
        self.state = state
        self.cause = cause
        self.until = until
        self.held = held
        self.plain = plain
        self.admitted = self.succeeded = self.failed = 0


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """A circuit at one moment.

    `cause` is why it is in this `state`. `until` is when it ends by itself, as a reading of the breaker's clock: open,
    when probes are let through; half-open, when it opens again; None where it does not. `held`: by hand. `failures`
    counts those in a row; `window` what its window holds; `probes` those let through.
    """

    state: CircuitState
    cause: CircuitCause
    until: float | None
    held: bool
    failures: int
    window: WindowCounts | None
    probes: int
