"""Retry: the same call again, later and later, while the error is one that time can heal.

Owns what an error means for another attempt. Refuses to know what it calls, and whether that is safe to call twice: the
caller decides that by using it, or takes `for_unsafe()`. Next: course.py judges and waits, budget.py bounds what all
retries cost, attempts.py is the form for blocks, composite.py puts it in order with the other blocks.
"""

import copy
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import ParamSpec, Self, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import use_context
from cortex_core.kernel.errors import CortexError
from cortex_core.resilience.attempts import Attempts
from cortex_core.resilience.budget import RetryBudget
from cortex_core.resilience.course import Course, RetryRules
from cortex_core.resilience.hooks import OnGiveUp, OnRetry
from cortex_core.resilience.policy import Policy, settled

P = ParamSpec("P")
T = TypeVar("T")


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed later: what a CortexError says; else time-outs and lost connections."""
    if isinstance(error, CortexError):
        return error.retryable
    return isinstance(error, TimeoutError | ConnectionError)


class RetryExecutor(Policy):
    """At most `max_attempts` calls (the first one included), waiting between them.

    The wait after attempt n is the error's `retry_after`, if any, and from there uniform in 0 … `base_delay` · 2ⁿ⁻¹
    seconds; at most `max_delay` in all. It gives up at once, with the error at hand, where `retry_on` says no, where
    `retry_after` is more than `max_delay`, where the wait would outlast the context's deadline or its own (`deadline`
    seconds after the first attempt began), and where `budget` has no token left. The last error is raised as it came,
    with a note that says how often was tried. A cancellation is never retried. Keeps no state between calls: share it.

    `deadline` reaches the attempts as the context's, for whoever bounds them; it does not interrupt one. To construct
    an executor round a call is to say that the call may run twice; with `idempotent=False` another attempt follows only
    where none before began (`CortexError.attempted` is False, or the connection was refused). Raises ValueError for
    arguments out of their bounds.
    """

    def __init__(
        self,
        max_attempts: int = 3,
        base_delay: float = 1.0,
        max_delay: float = 30.0,
        *,
        deadline: float | None = None,
        retry_on: Callable[[Exception], bool] = is_transient,
        idempotent: bool = True,
        budget: RetryBudget | None = None,
        name: str = "",
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_retry: OnRetry | None = None,
        on_give_up: OnGiveUp | None = None,
    ) -> None:
        self.rules = RetryRules(
            max_attempts=max_attempts,
            base_delay=base_delay,
            max_delay=max_delay,
            deadline=deadline,
            retry_on=retry_on,
            idempotent=idempotent,
            budget=budget,
            name=name,
            clock=clock or SystemClock(),
            rng=rng or random.Random(),  # noqa: S311 - jitter spreads load; nobody gains by guessing it
            on_retry=on_retry,
            on_give_up=on_give_up,
        )
        self._prepares = budget is not None or deadline is not None  # else the first attempt needs nothing of ours

    def for_unsafe(self) -> Self:
        """The same executor, budget and all, for what must not be done twice."""
        unsafe = copy.copy(self)
        unsafe.rules = replace(self.rules, idempotent=False)
        return unsafe

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the first attempt that succeeds. Raises the error of the last one."""
        course = Course.here(self.rules) if self._prepares else None
        while True:
            try:
                if course is None or (changes := course.surroundings) is None:
                    return await call(*args, **kwargs)
                with use_context(**changes):
                    return await call(*args, **kwargs)
            except Exception as error:  # judged right below: raised again unless another attempt may help
                course = course or Course.here(self.rules)
                if not course.goes_on(error):
                    raise
            await self.rules.clock.sleep(course.delay)

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a call that blocks its thread; so do the waits. Not for an event loop's thread."""
        course = Course.here(self.rules) if self._prepares else None
        while True:
            try:
                if course is None or (changes := course.surroundings) is None:
                    return settled(call(*args, **kwargs))
                with use_context(**changes):
                    return settled(call(*args, **kwargs))
            except Exception as error:  # judged right below: raised again unless another attempt may help
                course = course or Course.here(self.rules)
                if not course.goes_on(error):
                    raise
            self.rules.clock.pause(course.delay)

    def attempts(self) -> Attempts:
        """The same for a block: `async for attempt in retry.attempts(): async with attempt: …`, or without `async`.

        The loop ends after the first block that ends without an error; the error of the last one leaves it.
        """
        return Attempts(self.rules)

    def course(self, brought: float | None, deadline: float | None) -> Course:
        """The same for who cannot await, and makes the attempts and the waits by itself: `goes_on(error)` judges each.

        `brought` is the retry budget that came with the call, `deadline` its caller's, as the context has them."""
        return Course(self.rules, brought, deadline)
