"""Several replicas over one Redis, each with a breaker and a SharedCircuit of its own, as processes would have them."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from cortex_core.resilience import CircuitBreaker, CircuitCause, CircuitOpenError, CircuitState, SharedCircuit
from cortex_core.resilience.redis import RedisBallot
from cortex_core.testing import RedisServer, assert_bound, eventually

TTL = 0.3
MEMBERS, VOTES = "cortex:circuit:{payments}:members", "cortex:circuit:{payments}:votes"
MakeBallot = Callable[..., RedisBallot]


@pytest.fixture
async def replicas(make: MakeBallot) -> AsyncIterator[list[CircuitBreaker]]:
    async with AsyncExitStack() as stack:
        breakers = [CircuitBreaker(3, 30.0, name="payments") for _ in range(5)]
        for number, breaker in enumerate(breakers):
            ballot = make(f"replica-{number}", ttl=TTL, timeout=0.5)
            await stack.enter_async_context(SharedCircuit(breaker, ballot, interval=0.03))
        yield breakers


async def test_a_bad_node_opens_its_own_circuit_and_nobody_elses(
    replicas: list[CircuitBreaker], redis_server: RedisServer
) -> None:
    bad, *good = replicas

    fail(bad)
    assert bad.state is CircuitState.OPEN  # at once
    await eventually(lambda: redis_server.command("ZRANGE", VOTES, "0", "-1") == ["replica-0"])
    await of_age_in_earnest(redis_server)

    assert {breaker.state for breaker in good} == {CircuitState.CLOSED}


async def test_the_others_follow_a_majority(replicas: list[CircuitBreaker]) -> None:
    for breaker in replicas[:3]:
        fail(breaker)

    await eventually(lambda: all(breaker.state is CircuitState.OPEN for breaker in replicas))

    assert [breaker.status.cause for breaker in replicas[3:]] == [CircuitCause.TOLD] * 2
    with pytest.raises(CircuitOpenError) as raised, replicas[4]:
        pytest.fail("nothing runs")
    assert raised.value.retry_after == pytest.approx(29, abs=1)


async def test_an_outage_of_redis_leaves_each_to_itself_and_costs_no_call_anything(
    replicas: list[CircuitBreaker], redis_server: RedisServer
) -> None:
    await of_age_in_earnest(redis_server)
    redis_server.stop(kill=True)

    started = time.monotonic()
    for breaker in replicas[:3]:
        fail(breaker)
    async with replicas[4]:
        pass
    assert_bound(time.monotonic() - started, 0.05)
    assert [breaker.state for breaker in replicas] == [CircuitState.OPEN] * 3 + [CircuitState.CLOSED] * 2

    redis_server.start()
    await eventually(lambda: all(breaker.state is CircuitState.OPEN for breaker in replicas))


async def test_votes_of_the_dead_open_nobodys_circuit(
    replicas: list[CircuitBreaker], make: MakeBallot, redis_server: RedisServer
) -> None:
    fail(replicas[0])
    fail(replicas[1])
    await make("ghost", ttl=TTL).cast(3600)  # three of six, and never heard of again: then two of five

    await of_age_in_earnest(redis_server)

    assert redis_server.command("ZCARD", MEMBERS) == 5
    assert {breaker.state for breaker in replicas[2:]} == {CircuitState.CLOSED}


def fail(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionError), breaker:
            raise ConnectionError("down")


async def of_age_in_earnest(redis_server: RedisServer) -> None:
    """Returns when the membership is twice as old as it must be for a quorum to count."""

    def old() -> bool:
        since = redis_server.command("GET", "cortex:circuit:{payments}:since")
        seconds, microseconds = redis_server.command("TIME")
        return since is not None and int(seconds) + int(microseconds) / 1e6 - int(since) / 1e3 > 2 * TTL

    await eventually(old)
