"""RetryExecutor: how often, how long in between, for which errors, and when not at all."""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex_core.kernel import Clock, CortexError, Kind, use_context
from cortex_core.resilience import RetryDetails, RetryExecutor


class RecordingClock(Clock, Protocol):
    sleeps: list[float]


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Refused(CortexError):
    code, kind = "test.refused", Kind.CONFLICT


class Backend:
    """Raises the given errors, one a call, then answers `ok`."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "ok"


class Latest(random.Random):
    """Jitter that always takes its whole range."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def test_the_first_success_is_the_answer_and_waits_for_nothing(clock: RecordingClock) -> None:
    backend = Backend()

    assert await RetryExecutor(clock=clock).execute(backend) == "ok"
    assert (backend.calls, clock.sleeps) == (1, [])


async def test_a_passing_trouble_is_passed(clock: RecordingClock) -> None:
    backend = Backend(Down("1"), ConnectionResetError("2"))

    assert await RetryExecutor(max_attempts=3, clock=clock).execute(backend) == "ok"
    assert backend.calls == 3


async def test_the_last_error_comes_out_as_it_was_and_says_how_often_was_tried(clock: RecordingClock) -> None:
    last = TimeoutError("third")
    backend = Backend(TimeoutError("first"), TimeoutError("second"), last, TimeoutError("never reached"))

    with pytest.raises(TimeoutError) as raised:
        await RetryExecutor(max_attempts=3, clock=clock).execute(backend)

    assert raised.value is last
    assert last.__notes__ == ["attempt 3 of at most 3"]
    assert backend.calls == 3


async def test_arguments_reach_the_call(clock: RecordingClock) -> None:
    async def add(one: int, *, other: int) -> int:
        return one + other

    assert await RetryExecutor(clock=clock).execute(add, 1, other=2) == 3


async def test_the_wait_doubles_up_to_its_ceiling(clock: RecordingClock) -> None:
    retry = RetryExecutor(max_attempts=7, base_delay=1.0, max_delay=10.0, clock=clock, rng=Latest())

    with pytest.raises(Down):
        await retry.execute(Backend(*(Down(str(n)) for n in range(9))))

    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


async def test_jitter_spreads_callers_over_the_whole_wait(clock: RecordingClock) -> None:
    retry = RetryExecutor(max_attempts=2, base_delay=1.0, clock=clock, rng=random.Random(7))

    for _ in range(1000):
        await retry.execute(Backend(Down("down")))

    assert all(0.0 <= delay <= 1.0 for delay in clock.sleeps)
    tenths = {int(delay * 10) for delay in clock.sleeps}
    assert tenths >= set(range(10))


async def test_a_thousand_attempts_do_not_overflow_the_wait(clock: RecordingClock) -> None:
    retry = RetryExecutor(max_attempts=2000, base_delay=0.5, max_delay=3.0, clock=clock, rng=Latest())

    assert await retry.execute(Backend(*(Down(str(n)) for n in range(1999)))) == "ok"
    assert clock.sleeps[-1] == 3.0


@pytest.mark.parametrize(
    "error", [Refused("no"), ValueError("bug"), Down("for good", retryable=False), KeyError("bug")]
)
async def test_what_time_cannot_heal_is_not_tried_again(clock: RecordingClock, error: Exception) -> None:
    backend = Backend(error)

    with pytest.raises(type(error)) as raised:
        await RetryExecutor(clock=clock).execute(backend)

    assert raised.value is error
    assert (backend.calls, clock.sleeps) == (1, [])


async def test_the_caller_may_say_what_is_worth_another_attempt(clock: RecordingClock) -> None:
    retry = RetryExecutor(clock=clock, retry_on=lambda error: isinstance(error, LookupError))

    assert await retry.execute(Backend(LookupError("not yet"))) == "ok"
    with pytest.raises(Down):
        await retry.execute(Backend(Down("not mine")))


async def test_a_cancellation_is_never_retried(clock: RecordingClock) -> None:
    backend = Backend(asyncio.CancelledError())

    with pytest.raises(asyncio.CancelledError):
        await RetryExecutor(clock=clock, retry_on=lambda _: True).execute(backend)

    assert backend.calls == 1


async def test_a_cancellation_ends_the_wait() -> None:
    backend = Backend(Down("down"))
    task = asyncio.create_task(RetryExecutor(base_delay=30.0, rng=Latest()).execute(backend))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.calls == 1


class TestRetryAfter:
    async def test_the_back_off_begins_after_it(self, clock: RecordingClock) -> None:
        retry = RetryExecutor(base_delay=5.0, clock=clock, rng=Latest())

        await retry.execute(Backend(Down("busy", retry_after=1.0)))

        assert clock.sleeps == [6.0]

    async def test_those_who_are_told_the_same_do_not_come_back_together(self, clock: RecordingClock) -> None:
        retry = RetryExecutor(base_delay=1.0, clock=clock, rng=random.Random(7))

        for _ in range(200):
            await retry.execute(Backend(Down("the circuit is open", retry_after=7.0)))

        assert 7.0 <= min(clock.sleeps) < 7.1
        assert 7.9 < max(clock.sleeps) <= 8.0
        assert len(set(clock.sleeps)) == 200

    async def test_no_wait_is_longer_than_it_may_be_and_those_near_are_spread(self, clock: RecordingClock) -> None:
        retry = RetryExecutor(base_delay=5.0, max_delay=8.0, clock=clock, rng=random.Random(7))

        for _ in range(200):
            await retry.execute(Backend(Down("busy", retry_after=7.0)))

        assert max(clock.sleeps) <= 8.0
        assert len(set(clock.sleeps)) == 200

    async def test_longer_than_we_would_ever_wait_is_a_no(self, clock: RecordingClock) -> None:
        with pytest.raises(Down):
            await RetryExecutor(max_delay=30.0, clock=clock).execute(Backend(Down("busy", retry_after=31.0)))

        assert clock.sleeps == []


class TestDeadline:
    async def test_nobody_waits_past_the_callers_deadline(self, clock: RecordingClock) -> None:
        backend = Backend(Down("1"), Down("2"), Down("3"))
        retry = RetryExecutor(max_attempts=5, base_delay=1.0, clock=clock, rng=Latest())

        with use_context(deadline=clock.monotonic() + 2.5), pytest.raises(Down, match="2"):
            await retry.execute(backend)

        assert clock.sleeps == [1.0]  # the next wait of 2 s would end half a second late

    async def test_a_deadline_far_away_changes_nothing(self, clock: RecordingClock) -> None:
        with use_context(deadline=clock.monotonic() + 100):
            assert await RetryExecutor(clock=clock).execute(Backend(Down("1"))) == "ok"


class TestHook:
    async def test_it_hears_of_every_wait(self, clock: RecordingClock) -> None:
        heard: list[RetryDetails] = []
        first, second = Down("1"), Down("2")
        retry = RetryExecutor(max_attempts=3, base_delay=1.0, clock=clock, rng=Latest(), on_retry=heard.append)

        await retry.execute(Backend(first, second))

        assert heard == [RetryDetails(1, 3, 1.0, first), RetryDetails(2, 3, 2.0, second)]

    async def test_it_hears_nothing_of_an_error_that_is_final(self, clock: RecordingClock) -> None:
        heard: list[RetryDetails] = []

        with pytest.raises(Refused):
            await RetryExecutor(clock=clock, on_retry=heard.append).execute(Backend(Refused("no")))

        assert heard == []

    async def test_its_own_error_is_logged_and_costs_the_call_nothing(
        self, clock: RecordingClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(details: RetryDetails) -> None:
            raise RuntimeError("the hook is broken")

        with caplog.at_level(logging.ERROR):
            assert await RetryExecutor(clock=clock, on_retry=broken).execute(Backend(Down("1"))) == "ok"

        assert "the hook is broken" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": -1}, "max_attempts"),
        ({"base_delay": -0.1}, "base_delay"),
        ({"base_delay": math.nan}, "base_delay"),
        ({"max_delay": math.inf}, "max_delay"),
        ({"base_delay": 2.0, "max_delay": 1.0}, "max_delay"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RetryExecutor(**arguments)


@settings(deadline=None)  # a busy machine is not a failure
@given(
    errors=st.lists(st.sampled_from([Down, Refused, TimeoutError, ValueError]), max_size=6),
    attempts=st.integers(1, 6),
)
def test_it_calls_as_often_as_a_loop_on_paper_would(errors: list[Callable[[str], Exception]], attempts: int) -> None:
    expected = 0
    for make in [*errors, None]:
        expected += 1
        if make not in (Down, TimeoutError) or expected == attempts:
            break
    backend = Backend(*(make("error") for make in errors))
    retry = RetryExecutor(max_attempts=attempts, base_delay=0.0, max_delay=0.0)

    async def run() -> None:
        try:
            await retry.execute(backend)
        except Exception as error:  # noqa: BLE001 - which one is other tests' business
            assert type(error) in errors

    asyncio.run(run())
    assert backend.calls == expected
