"""CompositePolicy: the order is the one that is written; the recommended one does what it is recommended for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind
from cortex_core.resilience import (
    CallTimeout,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    CompositePolicy,
    Fallback,
    Policy,
    RetryExecutor,
    Timeout,
)
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Noted(Policy):
    """Writes down when it is entered and left."""

    def __init__(self, name: str, notes: list[str], refuses: bool = False) -> None:
        self.name, self.notes, self.refuses = name, notes, refuses

    async def execute(self, call: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        with self:
            return await call(*args, **kwargs)

    def execute_sync(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        with self:
            return call(*args, **kwargs)

    def __enter__(self) -> None:
        if self.refuses:
            raise Down(self.name)
        self.notes.append(f"+{self.name}")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.notes.append(f"-{self.name}{'!' if error else ''}")

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        self.__exit__(kind, error, traceback)

    def __repr__(self) -> str:
        return self.name


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def policy(notes: list[str]) -> CompositePolicy:
    return CompositePolicy(Noted("a", notes), Noted("b", notes), Noted("c", notes))


IN_ORDER = ["+a", "+b", "+c", "call", "-c", "-b", "-a"]


async def test_the_first_is_the_outermost(policy: CompositePolicy, notes: list[str]) -> None:
    async def call(text: str, *, more: str) -> str:
        notes.append("call")
        return text + more

    assert await policy.execute(call, "well ", more="done") == "well done"
    assert notes == IN_ORDER


def test_blocking_calls_too(policy: CompositePolicy, notes: list[str]) -> None:
    def call(text: str, *, more: str) -> str:
        notes.append("call")
        return text + more

    assert policy.execute_sync(call, "well ", more="done") == "well done"
    assert notes == IN_ORDER


async def test_as_a_decorator(policy: CompositePolicy, notes: list[str]) -> None:
    @policy
    async def call() -> None:
        notes.append("call")

    await call()

    assert notes == IN_ORDER


async def test_as_a_context(policy: CompositePolicy, notes: list[str]) -> None:
    async with policy as itself:
        notes.append("call")
    assert itself is policy
    with policy:
        notes.append("call")

    assert notes == IN_ORDER * 2


async def test_an_error_passes_all_of_them(policy: CompositePolicy, notes: list[str]) -> None:
    with pytest.raises(Down):
        async with policy:
            raise Down("down")
    with pytest.raises(Down), policy:
        raise Down("down")

    assert notes == ["+a", "+b", "+c", "-c!", "-b!", "-a!"] * 2


async def test_who_is_refused_within_has_left_what_is_without(notes: list[str]) -> None:
    policy = CompositePolicy(Noted("a", notes), Noted("b", notes, refuses=True), Noted("c", notes))

    with pytest.raises(Down):
        async with policy:
            pytest.fail("nothing runs")
    with pytest.raises(Down), policy:
        pytest.fail("nothing runs")

    assert notes == ["+a", "-a!"] * 2


async def test_it_nests_and_is_shared_by_tasks(notes: list[str]) -> None:
    inner = CompositePolicy(Noted("b", notes), Noted("c", notes))
    policy = CompositePolicy(Noted("a", notes), inner)

    async def work() -> None:
        async with policy:
            await asyncio.sleep(0)

    await asyncio.gather(work(), work())

    assert notes == ["+a", "+b", "+c"] * 2 + ["-c", "-b", "-a"] * 2


@pytest.mark.parametrize(
    ("part", "named"),
    [(RetryExecutor(), "RetryExecutor"), (Fallback(1), "Fallback"), (CompositePolicy(Fallback(1)), "Fallback")],
)
async def test_what_repeats_a_call_or_replaces_its_result_is_no_context(
    part: Policy, named: str, notes: list[str]
) -> None:
    policy = CompositePolicy(Noted("a", notes), part)

    with pytest.raises(TypeError, match=rf"{named}.* cannot be used by `async with`"):
        async with policy:
            pytest.fail("nothing runs")


def test_a_block_that_blocks_cannot_be_given_a_limit(notes: list[str]) -> None:
    policy = CompositePolicy(Noted("a", notes), Timeout(1.0))

    with pytest.raises(TypeError, match=r"Timeout\(1\.0\) cannot be used by `with`"), policy:
        pytest.fail("nothing runs")

    assert notes == []


def test_it_shows_its_order() -> None:
    policy = CompositePolicy(Timeout(3.0), CircuitBreaker(name="payments"), Timeout(1.0))

    assert repr(policy) == "CompositePolicy(Timeout(3.0), CircuitBreaker('payments', closed), Timeout(1.0))"
    assert [type(part) for part in policy.policies] == [Timeout, CircuitBreaker, Timeout]


def test_a_part_without_a_text_of_its_own_is_shown_by_its_kind() -> None:
    class Plain(Noted):
        __repr__ = object.__repr__

    assert repr(CompositePolicy(Plain("a", []), Timeout(1.0))) == "CompositePolicy(Plain, Timeout(1.0))"


def test_nothing_is_no_policy() -> None:
    with pytest.raises(ValueError, match="policies: at least one"):
        CompositePolicy()


def test_what_is_no_policy_is_named() -> None:
    with pytest.raises(TypeError, match="policies: 5 is no Policy"):
        CompositePolicy(Timeout(1.0), 5)  # type: ignore[arg-type]


class TestTheRecommendedOrder:
    @staticmethod
    def policy(clock: FakeClock, breaker: CircuitBreaker, **retry: Any) -> CompositePolicy:
        settings = {"max_attempts": 10, "base_delay": 0.0, "rng": random.Random(0), "clock": clock, **retry}
        return CompositePolicy(
            Fallback(make=lambda error: error),
            Timeout(30.0, clock=clock),
            RetryExecutor(**settings),
            breaker,
            Timeout(1.0, clock=clock),
        )

    async def test_the_breaker_sees_each_attempt_and_ends_the_retries(self, clock: FakeClock) -> None:
        breaker, attempts = CircuitBreaker(3, 60.0, clock=clock), 0

        async def failing() -> None:
            nonlocal attempts
            attempts += 1
            raise Down("down")

        ended = await self.policy(clock, breaker).execute(failing)

        assert attempts == 3
        assert isinstance(ended, CircuitOpenError)  # it would have to wait 60 s, and would not wait more than 30
        assert (ended.attempted, ended.retry_after) == (True, 60.0)  # three attempts had begun: the retry says so

    async def test_an_attempt_that_hangs_is_one_to_retry_and_to_count(self, clock: FakeClock) -> None:
        breaker, attempts = CircuitBreaker(3, 60.0, clock=clock), 0

        async def hangs_once() -> str:
            nonlocal attempts
            attempts += 1
            if attempts == 1:
                await clock.sleep(3600.0)
            return "ok"

        task = asyncio.create_task(self.policy(clock, breaker).execute(hangs_once))
        await clock.advance(1.0)
        assert breaker.status.failures == 0
        assert await task == "ok"
        assert (attempts, breaker.state) == (2, CircuitState.CLOSED)

    async def test_the_whole_is_bounded_with_its_waits(self, clock: FakeClock) -> None:
        breaker = CircuitBreaker(100, clock=clock)

        async def busy() -> None:
            raise Down("busy", retry_after=20.0)

        task = asyncio.create_task(self.policy(clock, breaker).execute(busy))
        await clock.advance(25.0)

        assert isinstance(await task, Down)  # the second wait of 20 s would have outlasted the 30 s in all

    async def test_around_the_retry_a_breaker_would_see_one_failure_for_three(self, clock: FakeClock) -> None:
        breaker = CircuitBreaker(3, clock=clock)
        policy = CompositePolicy(breaker, RetryExecutor(max_attempts=3, base_delay=0.0, clock=clock))

        async def failing() -> None:
            raise Down("down")

        with pytest.raises(Down):
            await policy.execute(failing)

        assert breaker.status.failures == 1

    async def test_as_a_context_without_what_repeats(self, clock: FakeClock) -> None:
        breaker = CircuitBreaker(1, clock=clock)
        policy = CompositePolicy(breaker, Timeout(1.0, clock=clock))

        async def work() -> None:
            async with policy:
                await clock.sleep(3600.0)

        task = asyncio.create_task(work())
        await clock.advance(1.0)

        with pytest.raises(CallTimeout):
            await task
        assert breaker.state is CircuitState.OPEN
