"""CircuitBreaker as a decorator and as a context."""

import asyncio
from typing import Any

import pytest

from cortex_core.resilience import CircuitBreaker, CircuitOpenError, CircuitState
from cortex_core.testing import FakeClock


class Down(ConnectionError):
    pass


async def test_as_a_decorator() -> None:
    breaker = CircuitBreaker(failure_threshold=1)

    @breaker
    async def pay(order: str) -> str:
        raise Down(order)

    @breaker
    def pay_blocking(order: str) -> str:
        return order

    assert pay_blocking("ord_1") == "ord_1"
    with pytest.raises(Down):
        await pay("ord_2")
    with pytest.raises(CircuitOpenError):
        pay_blocking("ord_3")


async def test_as_a_context_an_error_that_leaves_the_block_is_the_failure() -> None:
    breaker = CircuitBreaker(failure_threshold=2)

    with pytest.raises(Down):
        async with breaker:
            raise Down("down")
    with pytest.raises(Down), breaker:
        raise Down("down")

    assert breaker.state is CircuitState.OPEN
    with pytest.raises(CircuitOpenError):
        async with breaker:
            pytest.fail("nothing runs")


async def test_a_block_that_ends_well_is_a_success() -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    with pytest.raises(Down), breaker:
        raise Down("down")

    async with breaker as itself:
        assert itself is breaker

    assert breaker.status.failures == 0


async def test_it_may_be_entered_within_itself_and_by_many_tasks_at_once() -> None:
    breaker = CircuitBreaker(failure_threshold=100)
    gate = asyncio.Event()

    async def nested(fails: bool) -> None:
        async with breaker:
            await gate.wait()
            async with breaker:
                await asyncio.sleep(0)
                if fails:
                    raise Down("down")

    tasks = [asyncio.create_task(nested(fails)) for fails in [True] * 10]
    await asyncio.sleep(0)
    gate.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(error, Down) for error in ended)
    assert breaker.status.failures == 20


async def test_left_where_it_was_not_entered_is_a_mistake_that_is_told() -> None:
    breaker = CircuitBreaker()
    await asyncio.create_task(breaker.__aenter__())

    with pytest.raises(RuntimeError, match="left where it was not entered"):
        await breaker.__aexit__(None, None, None)


async def test_a_probe_left_where_it_was_not_entered_gives_its_place_back(clock: FakeClock, opened: Any) -> None:
    """As that of an async generator is which the loop closes in a task of its own."""
    breaker = await opened(clock, probes=1, reset_timeout=5.0)
    await clock.advance(5.0)
    await asyncio.create_task(breaker.__aenter__())
    with pytest.raises(CircuitOpenError):
        await breaker.__aenter__()

    with pytest.raises(RuntimeError, match="left where it was not entered"):
        await breaker.__aexit__(None, None, None)

    assert (breaker.state, breaker.status.probes) == (CircuitState.HALF_OPEN, 0)
    async with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


async def test_nor_takes_it_a_place_that_is_not_taken(clock: FakeClock, opened: Any, take_off: Any) -> None:
    breaker = await opened(clock, probes=2, reset_timeout=5.0)
    await clock.advance(5.0)
    await (await take_off(breaker)).land()

    with pytest.raises(RuntimeError, match="left where it was not entered"):
        await breaker.__aexit__(None, None, None)

    flights = [await take_off(breaker) for _ in range(2)]
    assert [flight.refused for flight in flights] == [False, True]


def test_it_is_read_as_what_it_is() -> None:
    assert repr(CircuitBreaker(name="payments")) == "CircuitBreaker('payments', closed)"
