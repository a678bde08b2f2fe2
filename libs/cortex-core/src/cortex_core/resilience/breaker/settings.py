"""The numbers a circuit goes by, checked once."""

from dataclasses import dataclass

from cortex_core.resilience.bounds import number, seconds, whole
from cortex_core.resilience.breaker.windows import Window


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """See `CircuitBreaker`. Raises ValueError naming the argument."""

    failure_threshold: int | None
    window: Window | None
    reset_timeout: float
    max_reset_timeout: float
    jitter: float
    probes: int
    probes_to_close: int
    half_open_timeout: float

    def __post_init__(self) -> None:
        if self.failure_threshold is not None:
            whole("failure_threshold", self.failure_threshold)
        seconds("reset_timeout", self.reset_timeout)
        seconds("half_open_timeout", self.half_open_timeout)
        number("max_reset_timeout", self.max_reset_timeout, least=self.reset_timeout, unit="seconds")
        number("jitter", self.jitter, least=0, below=1)
        whole("probes", self.probes)
        whole("probes_to_close", self.probes_to_close, most=self.probes)

    def open_seconds(self, reopened: int) -> float:
        """How long it stays open, before jitter, after `reopened` probings in a row have failed."""
        return min(self.max_reset_timeout, self.reset_timeout * 2.0 ** min(reopened, 64))
