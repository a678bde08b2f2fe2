"""Tokens are moved, never made: random trees of services, random failures, callers who lie about what they brought."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cortex_core.kernel import current, use_context
from cortex_core.resilience import (
    RetryBudget,
    RetryDetails,
    RetryExecutor,
    format_retry_budget,
    parse_retry_budget,
)
from cortex_core.testing import machine_settings

RATIO = 0.2


@dataclass(eq=False)
class Service:
    """Calls each of its callees once, with retries; fails by itself at `failing`. `awaits`: by the executor, or by a
    course of its own."""

    retry: RetryExecutor
    awaits: bool = True
    callees: "list[Service]" = field(default_factory=list)
    failing: float = 0.0

    async def __call__(self, header: str | None, dice: random.Random) -> None:
        with use_context(retry_budget=parse_retry_budget(header)):
            if dice.random() < self.failing:
                raise ConnectionError
            for callee in self.callees:
                if self.awaits:
                    await self.retry.execute(self._call, callee, dice)
                else:
                    await self._by_course(callee, dice)

    async def _by_course(self, callee: "Service", dice: random.Random) -> None:
        course = self.retry.course(current().retry_budget, None)
        while True:
            assert course.budget is not None
            try:
                return await callee(format_retry_budget(course.budget), dice)
            except ConnectionError as error:
                if not course.goes_on(error):
                    raise

    @staticmethod
    async def _call(callee: "Service", dice: random.Random) -> None:
        left = current().retry_budget
        await callee(None if left is None else format_retry_budget(left), dice)


class BudgetMachine(RuleBasedStateMachine):
    """The model is one line: retries made and tokens held ≤ tokens at first + ratio · paths of original calls."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    @initialize(shape=st.lists(st.integers(0, 5), max_size=6), attempts=st.integers(2, 4), capacity=st.floats(1, 5))
    def build(self, shape: list[int], attempts: int, capacity: float) -> None:
        """`shape`: whose callee the next service is, by its number."""
        self.retries = self.paths = 0
        self.services: list[Service] = []
        self.budgets: list[RetryBudget] = []
        for parent in [None, *shape]:
            budget = RetryBudget(RATIO, capacity)
            retry = RetryExecutor(attempts, 0.0, budget=budget, on_retry=self.count)
            service = Service(retry, awaits=len(self.services) % 2 == 0)
            if parent is not None:
                self.services[parent % len(self.services)].callees.append(service)
            self.services.append(service)
            self.budgets.append(budget)
        self.start = sum(budget.tokens for budget in self.budgets)
        self.width = sum(not service.callees for service in self.services)

    def count(self, details: RetryDetails) -> None:
        self.retries += 1

    @rule(number=st.integers(0, 6), failing=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def a_service_changes(self, number: int, failing: float) -> None:
        self.services[number % len(self.services)].failing = failing

    @rule(header=st.sampled_from([None, "0", "0.05", "0.2", "1", "lots"]), seed=st.integers(0, 2**16))
    def a_call_comes(self, header: str | None, seed: int) -> None:
        self.paths += self.width
        with suppress(ConnectionError):
            self.loop.run_until_complete(self.services[0](header, random.Random(seed)))

    def teardown(self) -> None:
        self.loop.close()

    @invariant()
    def no_token_was_made(self) -> None:
        if hasattr(self, "budgets"):
            held = sum(budget.tokens for budget in self.budgets)
            assert self.retries + held <= self.start + RATIO * self.paths + 1e-9


TestBudgetMachine = pytest.mark.machine(BudgetMachine.TestCase)
TestBudgetMachine.settings = machine_settings()
