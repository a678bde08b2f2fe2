"""Retry: the same call again, later and later, while the error is one that time can heal.

Owns the wait between attempts: exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015), so that callers who failed together do not come back together. Refuses to know what it calls,
and whether that is safe to call twice: the caller decides that by using it. Next: a retry budget, and policy.py that
puts it in order with the other blocks.
"""

import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError
from cortex_core.resilience.hooks import OnRetry, RetryDetails

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed later: what a CortexError says; else time-outs and lost connections."""
    if isinstance(error, CortexError):
        return error.retryable
    return isinstance(error, TimeoutError | ConnectionError)


class RetryExecutor:
    """At most `max_attempts` calls (the first one included), waiting between them.

    The wait after attempt n is uniform in 0 … min(`max_delay`, `base_delay` · 2ⁿ⁻¹) seconds, and at least the error's
    `retry_after`. It gives up at once, with the error at hand, where `retry_on` says no, where `retry_after` is more
    than `max_delay`, and where the wait would outlast the context's deadline. The last error is raised as it came, with
    a note that says how often was tried. A cancellation is never retried. Keeps no state between calls: share it.
    """

    def __init__(
        self,
        max_attempts: int = 3,
        base_delay: float = 1.0,
        max_delay: float = 30.0,
        *,
        retry_on: Callable[[Exception], bool] = is_transient,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_retry: OnRetry | None = None,
    ) -> None:
        if max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
        for name, seconds in (("base_delay", base_delay), ("max_delay", max_delay)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{name} must be a finite number of seconds from 0, not {seconds}")
        if max_delay < base_delay:
            raise ValueError(f"max_delay ({max_delay}) must not be less than base_delay ({base_delay})")
        self.max_attempts = max_attempts
        self.base_delay = base_delay
        self.max_delay = max_delay
        self._retry_on = retry_on
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._on_retry = on_retry

    async def execute(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the first attempt that succeeds. Raises the error of the last one."""
        attempt = 1
        while True:
            try:
                return await call(*args, **kwargs)
            except Exception as error:  # judged right below: raised again unless another attempt may help
                delay = self._wait_after(attempt, error)
                if delay is None:
                    if attempt > 1:
                        error.add_note(f"attempt {attempt} of at most {self.max_attempts}")
                    raise
                self._tell(RetryDetails(attempt, self.max_attempts, delay, error))
            await self._clock.sleep(delay)
            attempt += 1

    def _wait_after(self, attempt: int, error: Exception) -> float | None:
        """Seconds until the next attempt, or None where there is to be none."""
        if attempt >= self.max_attempts or not self._retry_on(error):
            return None
        asked = (error.retry_after or 0.0) if isinstance(error, CortexError) else 0.0
        if asked > self.max_delay:
            return None  # sooner is not wanted, and later is longer than our caller agreed to wait
        ceiling = min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, 64))
        delay = max(asked, self._rng.uniform(0.0, ceiling))
        deadline = current().deadline
        if deadline is not None and self._clock.monotonic() + delay >= deadline:
            return None  # nobody would be left to hear the answer
        return delay

    def _tell(self, details: RetryDetails) -> None:
        if self._on_retry is None:
            return
        try:
            self._on_retry(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the call its retry
            _log.exception("a retry hook failed")
