"""Retry for a block: the loop that tries its body again."""

import asyncio
import random

import pytest

from cortex_core.kernel import CortexError, Kind, current
from cortex_core.resilience import Attempt, RetryBudget, RetryExecutor
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Latest(random.Random):
    """Jitter that always takes its whole range."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def test_the_body_runs_until_it_ends_without_an_error() -> None:
    numbers = []

    async for attempt in RetryExecutor(5, 0.0).attempts():
        async with attempt:
            numbers.append(attempt.number)
            if attempt.number < 3:
                raise Down("not yet")

    assert numbers == [1, 2, 3]


def test_a_blocking_body_does_too() -> None:
    clock, numbers = FakeClock(), []

    for attempt in RetryExecutor(3, 1.0, clock=clock, rng=Latest()).attempts():
        with attempt:
            numbers.append(attempt.number)
            if attempt.number < 3:
                raise Down("not yet")

    assert numbers == [1, 2, 3]
    assert clock.monotonic() == 3.0


async def test_between_attempts_it_waits() -> None:
    clock = FakeClock()
    moments = []

    async def block() -> None:
        async for attempt in RetryExecutor(3, 1.0, clock=clock, rng=Latest()).attempts():
            async with attempt:
                moments.append(clock.monotonic())
                raise Down("always")

    task = asyncio.create_task(block())
    await clock.advance(5)

    assert moments == [0.0, 1.0, 3.0]
    with pytest.raises(Down) as raised:
        await task
    assert raised.value.__notes__ == ["attempt 3 of at most 3"]


async def test_a_final_error_leaves_the_loop() -> None:
    begun: list[Attempt] = []

    with pytest.raises(LookupError):
        async for attempt in RetryExecutor(3, 0.0).attempts():
            async with attempt as entered:
                begun.append(entered)
                raise LookupError

    assert len(begun) == 1


async def test_a_cancellation_leaves_the_loop() -> None:
    begun: list[Attempt] = []

    with pytest.raises(asyncio.CancelledError):
        async for attempt in RetryExecutor(3, 0.0, retry_on=lambda _: True).attempts():
            async with attempt:
                begun.append(attempt)
                raise asyncio.CancelledError

    assert len(begun) == 1


async def test_leaving_the_body_leaves_the_loop() -> None:
    async def answer() -> int:
        async for attempt in RetryExecutor(3, 0.0).attempts():
            async with attempt:
                return attempt.number
        raise AssertionError("the loop went on")

    assert await answer() == 1


async def test_the_budget_and_the_deadline_are_the_bodys() -> None:
    clock, budget = FakeClock(), RetryBudget(ratio=0.2)
    seen = []

    async for attempt in RetryExecutor(3, 0.0, deadline=5, budget=budget, clock=clock).attempts():
        async with attempt:
            seen.append((current().deadline, current().retry_budget))
            if attempt.number == 1:
                raise Down("not yet")

    assert seen == [(5.0, 0.2), (5.0, 0.0)]
    assert (current().deadline, current().retry_budget) == (None, None)
    assert budget.tokens == 9.0


async def test_a_body_that_does_not_enter_the_attempt_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        async for _ in RetryExecutor(3, 0.0).attempts():
            pass


def test_a_blocking_body_that_does_not_enter_it_is_told_so_too() -> None:
    with pytest.raises(RuntimeError, match="not entered"):
        for _ in RetryExecutor(3, 0.0).attempts():
            pass
