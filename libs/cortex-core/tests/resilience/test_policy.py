"""What every block does with what it is handed: nothing goes by unprotected."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from cortex_core.resilience import (
    AdaptiveLimit,
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    CompositePolicy,
    Fallback,
    Hedge,
    Policy,
    RetryExecutor,
    Timeout,
)

BLOCKS: list[Callable[[], Policy]] = [
    AdaptiveLimit,
    lambda: Bulkhead(1),
    CircuitBreaker,
    lambda: CompositePolicy(Bulkhead(1), RetryExecutor(1)),
    lambda: Fallback("instead"),
    lambda: Hedge(1.0, idempotent=True),
    RetryExecutor,
    lambda: Timeout(5.0),
]


async def fetch(text: str) -> str:
    return text


class Client:
    async def __call__(self, text: str) -> str:
        raise ConnectionError(text)


class Feed:
    async def __call__(self) -> AsyncIterator[str]:
        yield "news"


async def stream() -> AsyncIterator[str]:
    yield "news"


def lines() -> Iterator[str]:
    yield "line"


def later() -> Awaitable[str]:
    return fetch("later")


@pytest.mark.parametrize("make", BLOCKS)
@pytest.mark.parametrize("function", [stream, lines, partial(stream), Feed()])
def test_a_generator_function_is_refused_for_its_body_would_run_outside(
    make: Callable[[], Policy], function: Callable[[], Any]
) -> None:
    with pytest.raises(TypeError, match="generator function"):
        make()(function)


async def test_an_object_whose_call_is_a_coroutine_function_is_protected() -> None:
    breaker = CircuitBreaker(failure_threshold=1)

    with pytest.raises(ConnectionError):
        await breaker(Client())("down")

    assert breaker.state is CircuitState.OPEN


async def test_so_is_a_partial_of_one() -> None:
    assert await Timeout(5.0)(partial(fetch, "here"))() == "here"


@pytest.mark.parametrize("make", BLOCKS)
@pytest.mark.parametrize("function", [later, partial(fetch, "later")])
def test_what_is_still_to_be_awaited_is_no_blocking_call(
    make: Callable[[], Policy], function: Callable[[], Any]
) -> None:
    with pytest.raises(TypeError, match="is to be awaited: use execute"):
        make().execute_sync(function)


@pytest.mark.parametrize("make", BLOCKS)
async def test_nor_is_what_ends_in_a_future(make: Callable[[], Policy]) -> None:
    future = asyncio.get_running_loop().create_future()

    with pytest.raises(TypeError, match="is to be awaited: use execute"):
        make().execute_sync(lambda: future)


@pytest.mark.parametrize("make", BLOCKS)
def test_nor_is_a_decorated_function_that_returns_such(make: Callable[[], Policy]) -> None:
    with pytest.raises(TypeError, match="is to be awaited: use execute"):
        make()(later)()
