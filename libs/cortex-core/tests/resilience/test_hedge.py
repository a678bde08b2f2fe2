"""Hedge: when a second attempt starts, whose answer counts, what becomes of the loser, and what it may cost."""

import asyncio
import gc
import logging
from typing import Any

import pytest

from cortex_core.kernel import current, use_context
from cortex_core.resilience import Hedge, HedgeDetails, RetryBudget
from cortex_core.testing import FakeClock


class Backend:
    """Answers each attempt after its own number of seconds; a negative one is an error after that long."""

    def __init__(self, clock: FakeClock, *seconds: float) -> None:
        self.clock = clock
        self.seconds = list(seconds)
        self.begun: list[float] = []
        self.carried: list[float | None] = []
        self.lost: list[int] = []

    async def __call__(self) -> int:
        number = len(self.begun) + 1
        self.begun.append(self.clock.monotonic())
        self.carried.append(current().retry_budget)
        seconds = self.seconds[number - 1]
        try:
            await self.clock.sleep(abs(seconds))
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # a loser needs a moment to clean up
            self.lost.append(number)
            raise
        if seconds < 0:
            raise ConnectionError(f"attempt {number}")
        return number


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def started(hedge: Hedge, backend: Backend) -> "asyncio.Task[int]":
    return asyncio.create_task(hedge.execute(backend))


async def test_a_quick_answer_is_the_only_attempt(clock: FakeClock) -> None:
    backend = Backend(clock, 0.1)
    task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

    await clock.advance(5)

    assert (await task, len(backend.begun)) == (1, 1)
    assert clock.sleepers == 0


async def test_a_second_attempt_starts_after_the_delay_and_may_win(clock: FakeClock) -> None:
    backend = Backend(clock, 10, 0.2)
    task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

    await clock.advance(0.5)
    assert backend.begun == [0.0, 0.5]
    await clock.advance(0.2)

    assert await task == 2
    assert backend.lost == [1]


async def test_the_first_attempt_may_still_win(clock: FakeClock) -> None:
    backend = Backend(clock, 0.7, 10)
    task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

    await clock.advance(0.7)

    assert await task == 1
    assert backend.lost == [2]


async def test_no_more_attempts_than_were_allowed(clock: FakeClock) -> None:
    backend = Backend(clock, 10, 10, 10)
    task = started(Hedge(1, max_hedges=2, idempotent=True, clock=clock), backend)

    await clock.advance(10)

    assert await task == 1
    assert backend.begun == [0.0, 1.0, 2.0]


async def test_losers_have_ended_before_the_answer_is_given(clock: FakeClock) -> None:
    backend = Backend(clock, 10, 10, 0.5)
    hedge = Hedge(1, max_hedges=2, idempotent=True, clock=clock)

    async def ask() -> list[int]:
        await hedge.execute(backend)
        return list(backend.lost)

    task = asyncio.create_task(ask())
    await clock.advance(3)

    assert await task == [1, 2]


class TestErrors:
    async def test_an_error_before_the_delay_is_raised_at_once(self, clock: FakeClock) -> None:
        backend = Backend(clock, -0.1)
        task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

        await clock.advance(0.1)

        with pytest.raises(ConnectionError, match="attempt 1"):
            await task

    async def test_an_error_waits_for_the_other_attempt(self, clock: FakeClock) -> None:
        backend = Backend(clock, -1.0, 2.0)
        task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

        await clock.advance(1)
        assert not task.done()
        await clock.advance(1.5)

        assert await task == 2

    async def test_the_last_error_comes_out_when_nobody_is_left(self, clock: FakeClock) -> None:
        backend = Backend(clock, -2.0, -0.5)
        task = started(Hedge(0.5, idempotent=True, clock=clock), backend)

        await clock.advance(2)

        with pytest.raises(ConnectionError, match="attempt 1"):
            await task

    async def test_a_failed_attempt_does_not_put_the_next_one_off(self, clock: FakeClock) -> None:
        backend = Backend(clock, 10, -0.5, 10)
        task = started(Hedge(1, max_hedges=2, idempotent=True, clock=clock), backend)

        await clock.advance(3)

        assert backend.begun == [0.0, 1.0, 2.0]
        task.cancel()

    async def test_an_attempt_that_cancels_itself_is_one_that_failed(self, clock: FakeClock) -> None:
        async def gone() -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await Hedge(1, idempotent=True, clock=clock).execute(gone)


class TestCancellation:
    async def test_it_reaches_every_attempt_and_waits_for_them(self, clock: FakeClock) -> None:
        backend = Backend(clock, 10, 10)
        task = started(Hedge(0.5, idempotent=True, clock=clock), backend)
        await clock.advance(1)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert backend.lost == [1, 2]
        assert clock.sleepers == 0

    async def test_one_that_comes_while_losers_end_leaves_none_behind(self, clock: FakeClock) -> None:
        cleaning, clean, ended = asyncio.Event(), asyncio.Event(), False

        async def slow_to_go() -> None:
            nonlocal ended
            try:
                await asyncio.Event().wait()
            finally:
                cleaning.set()
                await clean.wait()
                ended = True

        task = asyncio.create_task(Hedge(1, idempotent=True, clock=clock).execute(slow_to_go))
        await clock.advance(0)
        task.cancel()
        await cleaning.wait()
        task.cancel()
        await clock.advance(0)
        assert not task.done()

        clean.set()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended

    async def test_a_loser_that_fails_while_it_is_cancelled_is_not_heard(self, clock: FakeClock) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        async def second_wins(attempts: list[int]) -> str:
            attempts.append(1)
            if len(attempts) == 2:
                return "second"
            try:
                await asyncio.Event().wait()
            finally:
                raise ConnectionError("on the way out")

        task = asyncio.create_task(Hedge(1, idempotent=True, clock=clock).execute(second_wins, []))
        await clock.advance(1)

        assert await task == "second"
        del task
        gc.collect()
        assert complaints == []

    @pytest.mark.parametrize(("seconds", "answer"), [((2.0, -1.0), 1), ((-2.0, 1.0), 2)])
    async def test_of_two_that_end_together_the_one_with_an_answer_counts(
        self, clock: FakeClock, seconds: tuple[float, float], answer: int
    ) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        task = started(Hedge(1, idempotent=True, clock=clock), Backend(clock, *seconds))

        await clock.advance(2)

        assert await task == answer
        del task
        gc.collect()
        assert complaints == []


class TestBudget:
    async def test_a_hedge_costs_a_token_and_carries_none(self, clock: FakeClock) -> None:
        backend, budget = Backend(clock, 10, 1), RetryBudget(ratio=0.2, capacity=2)
        task = started(Hedge(1, idempotent=True, budget=budget, clock=clock), backend)

        await clock.advance(2)

        assert await task == 2
        assert budget.tokens == 1.0
        assert backend.carried == [0.2, 0.0]

    async def test_without_a_token_the_first_attempt_is_waited_for(self, clock: FakeClock) -> None:
        budget = RetryBudget(ratio=0.0, capacity=1)
        budget.withdraw()
        heard: list[HedgeDetails] = []
        backend = Backend(clock, 10)
        hedge = Hedge(1, 3, idempotent=True, budget=budget, name="search", clock=clock, on_hedge=heard.append)
        task = started(hedge, backend)

        await clock.advance(10)

        assert await task == 1
        assert heard == [HedgeDetails(2, 1, refused=True, name="search")]

    async def test_what_the_caller_left_us_goes_into_the_budget(self, clock: FakeClock) -> None:
        backend = Backend(clock, 0)
        with use_context(retry_budget=0.1):
            await Hedge(1, idempotent=True, budget=RetryBudget(ratio=0.2), clock=clock).execute(backend)

        assert backend.carried == [0.1]

    async def test_slow_calls_are_hedged_in_their_share(self, clock: FakeClock) -> None:
        hedges: list[HedgeDetails] = []
        hedge = Hedge(1, idempotent=True, clock=clock, on_hedge=hedges.append)
        tasks = [started(hedge, Backend(clock, 3, 3)) for _ in range(1000)]

        await clock.advance(3)

        await asyncio.gather(*tasks)
        assert sum(not each.refused for each in hedges) == 10  # all asked at the same moment: what the bucket held
        tasks = [started(hedge, Backend(clock, 3, 3)) for _ in range(1000)]
        await clock.advance(3)
        await asyncio.gather(*tasks)
        assert sum(not each.refused for each in hedges) == 20


async def test_the_hook_hears_of_every_hedge_and_may_break(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[HedgeDetails] = []

    def broken(details: HedgeDetails) -> None:
        heard.append(details)
        raise RuntimeError("the hook is broken")

    task = started(Hedge(1, 2, idempotent=True, clock=clock, on_hedge=broken), Backend(clock, 10, 10, 1))
    with caplog.at_level(logging.ERROR):
        await clock.advance(3)

    assert await task == 3
    assert heard == [HedgeDetails(2, 1, refused=False), HedgeDetails(3, 1, refused=False)]
    assert "the hook is broken" in caplog.text
