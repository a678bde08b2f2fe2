"""One call's course through its attempts: judges each error, and says when the next attempt is due.

Owns the wait between attempts: exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015), so that callers who failed together do not come back together. Nor do those whom one callee
told the same `retry_after`: the jitter begins there. Refuses to call or to wait: that is retry.py's (functions),
attempts.py's (blocks), or whoever's who took it by `RetryExecutor.course`.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cortex_core.kernel.clock import Clock
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError
from cortex_core.resilience.bounds import seconds, whole
from cortex_core.resilience.budget import RetryBudget
from cortex_core.resilience.hooks import GiveUp, GiveUpDetails, OnGiveUp, OnRetry, RetryDetails, tell
from cortex_core.resilience.idempotency import may_have_begun, never_began
from cortex_core.resilience.predicates import judged


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """What an executor was told: see RetryExecutor."""

    max_attempts: int
    base_delay: float
    max_delay: float
    deadline: float | None
    retry_on: Callable[[Exception], bool]
    idempotent: bool
    budget: RetryBudget | None
    name: str
    clock: Clock
    rng: random.Random
    on_retry: OnRetry | None
    on_give_up: OnGiveUp | None

    def __post_init__(self) -> None:
        whole("max_attempts", self.max_attempts)
        seconds("base_delay", self.base_delay, or_zero=True)
        seconds("max_delay", self.max_delay, or_zero=True)
        if self.max_delay < self.base_delay:
            raise ValueError(f"max_delay ({self.max_delay}) must not be less than base_delay ({self.base_delay})")
        if self.deadline is not None:
            seconds("deadline", self.deadline)


class Course:
    """`attempt` is the one that runs, from 1, and `budget` the retry budget it passes on. `deadline`, a reading of the
    rules' clock, is its caller's, and `brought` the retry budget that came with it."""

    __slots__ = ("_begun", "_deadline", "_end", "_rules", "attempt", "budget", "delay")

    def __init__(self, rules: RetryRules, brought: float | None, deadline: float | None) -> None:
        self._rules = rules
        self._begun = False
        self._deadline = deadline
        self._end = math.inf if rules.deadline is None else rules.clock.monotonic() + rules.deadline
        self.attempt = 1
        self.delay = 0.0
        self.budget = None if rules.budget is None else rules.budget.deposit(brought)

    @classmethod
    def here(cls, rules: RetryRules) -> "Course":
        """Of a call that is made in the current context."""
        context = current()
        return cls(rules, context.retry_budget, context.deadline)

    @property
    def surroundings(self) -> dict[str, Any] | None:
        """The changes to the context that the attempt runs in, if any."""
        changes: dict[str, Any] = {}
        if self.budget is not None:
            changes["retry_budget"] = self.budget
        if self._rules.deadline is not None:
            changes["deadline"] = self._end if self._deadline is None else min(self._end, self._deadline)
        return changes or None

    def goes_on(self, error: Exception) -> bool:
        """Whether there is to be another attempt, `delay` seconds from now; counts it, and tells who listens."""
        if not never_began(error):
            self._begun = True
        if not judged(self._rules.retry_on, error, otherwise=False, of=f"retry_on of retry {self._rules.name}"):
            self._end_with(error)
            return False
        reason = self._obstacle(error)
        if reason is not None:
            self._end_with(error)
            end = GiveUpDetails(self.attempt, self._rules.max_attempts, reason, error, self._rules.name)
            tell(self._rules.on_give_up, end)
            return False
        retry = RetryDetails(self.attempt, self._rules.max_attempts, self.delay, error, self._rules.name)
        tell(self._rules.on_retry, retry)
        self.attempt += 1
        if self._rules.budget is not None:
            self.budget = 0.0
        return True

    def _end_with(self, error: Exception) -> None:
        if self._begun and never_began(error):
            may_have_begun(error)
        if self.attempt > 1:
            error.add_note(f"attempt {self.attempt} of at most {self._rules.max_attempts}")

    def _obstacle(self, error: Exception) -> GiveUp | None:
        """What stands in the way of another attempt; if nothing does, `delay` is set and the budget has paid."""
        rules = self._rules
        if self.attempt >= rules.max_attempts:
            return GiveUp.ATTEMPTS
        if not rules.idempotent and self._begun:
            return GiveUp.UNSAFE
        asked = (error.retry_after or 0.0) if isinstance(error, CortexError) else 0.0
        if not asked <= rules.max_delay:  # sooner is not wanted, and later is longer than our caller agreed to wait
            return GiveUp.RETRY_AFTER
        ceiling = min(rules.max_delay, rules.base_delay * 2.0 ** min(self.attempt - 1, 64))
        self.delay = asked + rules.rng.uniform(0.0, min(ceiling, rules.max_delay - asked))
        end = self._end if self._deadline is None else min(self._end, self._deadline)
        if rules.clock.monotonic() + self.delay >= end:
            return GiveUp.DEADLINE  # nobody would be left to hear the answer
        if rules.budget is not None and not rules.budget.withdraw():
            return GiveUp.BUDGET
        return None
