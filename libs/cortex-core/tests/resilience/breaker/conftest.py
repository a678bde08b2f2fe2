"""A backend that fails as told, and a call that stays in flight until it is told how to end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cortex_core.resilience import CircuitBreaker, CircuitOpenError, CircuitState
from cortex_core.resilience.redis import RedisBallot
from cortex_core.testing import FakeClock, RedisServer


class Backend:
    """Raises `error` while it has one; counts who reached it."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    async def __call__(self, answer: str = "ok") -> str:
        return self.blocking(answer)

    def blocking(self, answer: str = "ok") -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return answer


class Flight:
    """A call within a breaker."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(breaker.execute(self._call))

    async def _call(self) -> str:
        return await self._end

    @property
    def refused(self) -> bool:
        return self.task.done() and isinstance(self.task.exception(), CircuitOpenError)

    async def land(self, error: BaseException | None = None) -> None:
        if error is None:
            self._end.set_result("ok")
        else:
            self._end.set_exception(error)
        await asyncio.gather(self.task, return_exceptions=True)

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def take_off() -> Callable[[CircuitBreaker], Any]:
    """Begins a call and returns it once it is under way, or refused."""

    async def begin(breaker: CircuitBreaker) -> Flight:
        flight = Flight(breaker)
        await asyncio.sleep(0)
        return flight

    return begin


@pytest.fixture
def opened() -> Callable[..., Any]:
    """Makes a breaker and lets it open by failures."""

    async def make(clock: FakeClock, **settings: Any) -> CircuitBreaker:
        breaker = CircuitBreaker(**{"failure_threshold": 1, "reset_timeout": 5.0, "clock": clock, **settings})
        failing = Backend()
        failing.error = ConnectionError("down")
        while breaker.state is CircuitState.CLOSED:
            await asyncio.gather(breaker.execute(failing), return_exceptions=True)
        return breaker

    return make


@pytest.fixture
async def make(redis_url: str) -> AsyncIterator[Callable[..., RedisBallot]]:
    """Makes ballots on the test's Redis; they are closed at the end. However long the machine stands still, Redis
    answers in time and nobody is silent for too long."""
    async with AsyncExitStack() as stack:

        def ballot(replica: str, **settings: Any) -> RedisBallot:
            made = RedisBallot(redis_url, "payments", replica=replica, **{"ttl": 600.0, "timeout": 60.0, **settings})
            stack.push_async_callback(made.aclose)
            return made

        yield ballot


@pytest.fixture
def of_age(redis_server: RedisServer) -> Callable[[], None]:
    """The membership is as old as it must be."""

    def age() -> None:
        redis_server.command("SET", "cortex:circuit:{payments}:since", "1")

    return age
