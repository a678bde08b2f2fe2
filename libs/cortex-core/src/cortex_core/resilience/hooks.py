"""What the resilience cog tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

The chassis supplies hooks that count and log; `wiring` joins them. A hook that raises is logged and never breaks the
call.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """An attempt failed and another follows after `delay` seconds. `attempt` is the one that failed, from 1."""

    attempt: int
    max_attempts: int
    delay: float
    error: Exception


class OnRetry(Protocol):
    """Called before the wait, on the task that retries: it must be quick."""

    def __call__(self, details: RetryDetails, /) -> None: ...
