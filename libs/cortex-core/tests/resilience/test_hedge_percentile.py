"""Hedge after a percentile: what is known of how long calls take, and of those that were not waited for."""

import asyncio
import math
from typing import Any

import pytest

from cortex_core.resilience import Hedge, Percentile
from cortex_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def takes(hedge: Hedge, clock: FakeClock, seconds: float) -> None:
    async def call() -> None:
        clock.pause(seconds)

    await hedge.execute(call)


async def test_until_enough_is_known_it_waits_as_told(clock: FakeClock) -> None:
    hedge = Hedge(Percentile(90, until_known=2.5, at_least=10), idempotent=True, clock=clock)
    assert hedge.delay == 2.5

    for _ in range(9):
        await takes(hedge, clock, 0.1)

    assert hedge.delay == 2.5


async def test_then_as_long_as_most_calls_take(clock: FakeClock) -> None:
    hedge = Hedge(Percentile(90, at_least=10), idempotent=True, clock=clock)

    for tenth in range(10):
        await takes(hedge, clock, tenth / 10)

    assert hedge.delay == pytest.approx(0.8)


async def test_it_follows_what_calls_take_now(clock: FakeClock) -> None:
    hedge = Hedge(Percentile(50, at_least=10), idempotent=True, clock=clock)
    for _ in range(10):
        await takes(hedge, clock, 0.1)

    for _ in range(300):
        await takes(hedge, clock, 0.01)

    assert hedge.delay == pytest.approx(0.01)


async def test_a_loser_counts_as_slow(clock: FakeClock) -> None:
    hedge = Hedge(Percentile(50, until_known=1.0, at_least=2), idempotent=True, clock=clock)
    seconds = [10, 0.5]
    task = asyncio.create_task(hedge.execute(lambda: clock.sleep(seconds.pop(0))))

    await clock.advance(1.5)

    await task
    assert hedge.delay == pytest.approx(0.5)
    await takes(hedge, clock, 0.5)
    assert sorted(hedge._latencies._durations) == pytest.approx([0.5, 0.5, 1.5])  # type: ignore[union-attr]  # given


async def test_a_caller_who_left_early_says_nothing_of_the_callee(clock: FakeClock) -> None:
    hedge = Hedge(Percentile(50, until_known=1.0, at_least=1), idempotent=True, clock=clock)
    task = asyncio.create_task(hedge.execute(lambda: clock.sleep(10)))
    await clock.advance(0.2)

    task.cancel()
    await clock.advance(0)

    assert hedge.delay == 1.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"of": 0}, "of"),
        ({"of": 100}, "of"),
        ({"of": math.nan}, "of"),
        ({"of": 95, "until_known": -1}, "until_known"),
        ({"of": 95, "until_known": math.inf}, "until_known"),
        ({"of": 95, "at_least": 0}, "at_least"),
        ({"of": 95, "at_least": 257}, "at_least"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        Percentile(**arguments)
