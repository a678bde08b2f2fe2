"""Several replicas over one Redis, each with a breaker and a SharedCircuit of its own, as processes would have them."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from cortex_core.resilience import CircuitBreaker, CircuitCause, CircuitOpenError, CircuitState, SharedCircuit
from cortex_core.resilience.redis import RedisBallot
from cortex_core.testing import RedisServer, assert_bound, eventually

MEMBERS, VOTES = "cortex:circuit:{payments}:members", "cortex:circuit:{payments}:votes"
MakeBallot = Callable[..., RedisBallot]
OPEN_FOR = 300.0  # seconds


@pytest.fixture
async def replicas(make: MakeBallot) -> AsyncIterator[list[CircuitBreaker]]:
    """None of them is silent for as long as its ttl, however long the machine stands still; their time as members is
    given to them (`of_age`)."""
    async with AsyncExitStack() as stack:
        breakers = [CircuitBreaker(3, OPEN_FOR, name="payments") for _ in range(5)]
        for number, breaker in enumerate(breakers):
            ballot = make(f"replica-{number}", timeout=10.0)
            await stack.enter_async_context(SharedCircuit(breaker, ballot, interval=0.03))
        yield breakers


async def test_a_bad_node_opens_its_own_circuit_and_nobody_elses(
    replicas: list[CircuitBreaker], redis_server: RedisServer, of_age: Callable[[], None]
) -> None:
    bad, *good = replicas

    fail(bad)
    assert bad.state is CircuitState.OPEN  # at once
    await eventually(lambda: redis_server.command("ZRANGE", VOTES, "0", "-1") == ["replica-0"])
    await all_have_come(redis_server)
    of_age()
    await all_have_heard(redis_server)

    assert {breaker.state for breaker in good} == {CircuitState.CLOSED}


async def test_the_others_follow_a_majority(
    replicas: list[CircuitBreaker], redis_server: RedisServer, of_age: Callable[[], None]
) -> None:
    await all_have_come(redis_server)
    of_age()

    for breaker in replicas[:3]:
        fail(breaker)

    await eventually(lambda: all(breaker.state is CircuitState.OPEN for breaker in replicas))
    assert [breaker.status.cause for breaker in replicas[3:]] == [CircuitCause.TOLD] * 2
    with pytest.raises(CircuitOpenError) as raised, replicas[4]:
        pytest.fail("nothing runs")
    assert raised.value.retry_after == pytest.approx(OPEN_FOR, abs=OPEN_FOR / 10)


async def test_an_outage_of_redis_leaves_each_to_itself_and_costs_no_call_anything(
    replicas: list[CircuitBreaker], redis_server: RedisServer, of_age: Callable[[], None]
) -> None:
    await all_have_come(redis_server)
    of_age()
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
    replicas: list[CircuitBreaker], make: MakeBallot, redis_server: RedisServer, of_age: Callable[[], None]
) -> None:
    fail(replicas[0])
    fail(replicas[1])
    await make("ghost").cast(3600)  # three of six, and never heard of again: then two of five
    await all_have_come(redis_server, count=6)
    redis_server.command("ZADD", MEMBERS, "1", "ghost")  # as if it had been silent for its ttl
    of_age()

    await all_have_heard(redis_server)

    assert redis_server.command("ZCARD", MEMBERS) == 5
    assert {breaker.state for breaker in replicas[2:]} == {CircuitState.CLOSED}


def fail(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionError), breaker:
            raise ConnectionError("down")


async def all_have_come(redis_server: RedisServer, count: int = 5) -> None:
    await eventually(lambda: redis_server.command("ZCARD", MEMBERS) == count)


async def all_have_heard(redis_server: RedisServer) -> None:
    """Returns when every replica has voted twice from now on: it acts upon the first answer before it asks again."""

    def heartbeats() -> dict[str, float]:
        names_and_times = redis_server.command("ZRANGE", MEMBERS, "0", "-1", "WITHSCORES")
        return dict(zip(names_and_times[::2], map(float, names_and_times[1::2]), strict=True))

    for _ in range(2):
        before = heartbeats()
        await eventually(lambda: all(at > before[name] for name, at in heartbeats().items()))  # noqa: B023 - waited for here
