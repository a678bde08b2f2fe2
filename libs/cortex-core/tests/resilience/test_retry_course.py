"""A course of attempts for who cannot await: it judges, counts and pays as the executor itself does."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.resilience import GiveUpDetails, RetryBudget, RetryDetails, RetryExecutor
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Missing(CortexError):
    code, kind = "test.missing", Kind.NOT_FOUND


Outcome = Callable[[], CortexError] | None  # made anew for each: an error remembers what became of it
OUTCOMES = st.sampled_from(
    [
        None,
        lambda: Down("down"),
        lambda: Down("not begun", attempted=False),
        lambda: Down("later", retry_after=0.5),
        lambda: Missing("no such"),
    ]
)


class Caller:
    """Makes its calls by one of the two forms; remembers all that can be seen of them."""

    def __init__(self, told: dict[str, Any], tokens: float) -> None:
        self.clock = FakeClock()
        self.seen: list[Any] = []
        self.budget = RetryBudget(0.2, tokens)
        self.retry = RetryExecutor(
            clock=self.clock,
            rng=random.Random(7),  # the same jitter for both
            budget=self.budget,
            on_retry=self.heard,
            on_give_up=self.heard,
            **told,
        )

    def heard(self, details: RetryDetails | GiveUpDetails) -> None:
        delay = details.delay if isinstance(details, RetryDetails) else None
        self.seen.append((details.attempt, delay, type(details.error)))

    def attempt(self, outcomes: list[Outcome], budget: float | None) -> None:
        self.seen.append(budget)
        error = outcomes.pop(0) if outcomes else None
        if error is not None:
            raise error()

    async def by_executing(self, outcomes: list[Outcome], brought: float | None, left: float | None) -> None:
        async def call() -> None:
            self.attempt(outcomes, current().retry_budget)

        deadline = None if left is None else self.clock.monotonic() + left
        with use_context(retry_budget=brought, deadline=deadline):
            task = asyncio.create_task(self.retry.execute(call))
        while not task.done():
            await self.clock.advance(1.0)
        self.ended(task.exception())

    async def by_course(self, outcomes: list[Outcome], brought: float | None, left: float | None) -> None:
        course = self.retry.course(brought, None if left is None else self.clock.monotonic() + left)
        error: Exception | None = None
        while True:
            try:
                self.attempt(outcomes, course.budget)
            except CortexError as raised:
                error = raised
            else:
                return self.ended(None)
            if not course.goes_on(error):
                return self.ended(error)
            self.clock.pause(course.delay)

    def ended(self, error: BaseException | None) -> None:
        self.seen.append((type(error), str(error)))


@given(
    calls=st.lists(
        st.tuples(
            st.lists(OUTCOMES, max_size=4), st.sampled_from([None, 0.0, 0.1, 1.0]), st.sampled_from([None, 0.3, 5.0])
        ),
        max_size=6,
    ),
    tokens=st.floats(1.0, 3.0),
    deadline=st.sampled_from([None, 0.4]),
    idempotent=st.booleans(),
)
async def test_both_forms_come_to_the_same(
    calls: list[tuple[list[Outcome], float | None, float | None]],
    tokens: float,
    deadline: float | None,
    idempotent: bool,
) -> None:
    told = {"max_attempts": 3, "base_delay": 0.1, "max_delay": 0.6, "deadline": deadline, "idempotent": idempotent}
    executing, coursing = Caller(told, tokens), Caller(told, tokens)

    for outcomes, brought, left in calls:
        await executing.by_executing(list(outcomes), brought, left)
        await coursing.by_course(list(outcomes), brought, left)
        assert executing.seen == coursing.seen
        assert executing.budget.tokens == coursing.budget.tokens


def test_another_attempt_carries_no_tokens() -> None:
    course = RetryExecutor(3, 0.0, budget=RetryBudget(0.2, 2.0)).course(None, None)
    assert course.budget == 0.2

    assert course.goes_on(Down("down")) is True

    assert course.budget == 0.0
