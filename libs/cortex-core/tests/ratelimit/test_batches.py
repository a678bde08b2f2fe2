"""Calls of one turn under one policy and of one cost: one command, and to each its own part of the answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cortex_core.ratelimit import Decision, FixedWindow, LimiterUnavailable, Policy, SlidingWindow, TokenBucket
from cortex_core.ratelimit.redis import commands
from cortex_core.ratelimit.redis.batch import MOST
from cortex_core.ratelimit.redis.limiter import SharedLimiter
from cortex_core.testing import FakeClock, RedisServer, eventually

from .conftest import MakeLimiter, RecordingHooks
from .hand_wire import HandWire
from .redis_figures import calls_of

LONG = 10_000_000.0
POLICY = SlidingWindow(100, LONG)


class ResultsWire(HandWire):
    """Replies are Python values, and the greeting has none."""

    greeting = ()

    def parser(self) -> Any:
        return Values()

    def say(self, *replies: Any) -> None:
        for reply in replies:
            self.connections[-1][0].data_received(reply)


class Values:
    """A parser whose replies are fed as they are."""

    def __init__(self) -> None:
        self.fed: list[Any] = []

    def feed(self, data: Any) -> None:
        self.fed.append(data)

    def gets(self) -> Any:
        return self.fed.pop(0) if self.fed else False


@pytest.fixture
def wire() -> ResultsWire:
    return ResultsWire()


@pytest.fixture
async def limiter(wire: ResultsWire, clock: FakeClock, hooks: RecordingHooks) -> AsyncIterator[SharedLimiter]:
    """Its connection stands."""
    limiter = SharedLimiter(wire, namespace="n", timeout=30, cooldown=3, max_local_keys=100, clock=clock, hooks=hooks)
    first = asyncio.ensure_future(limiter.acquire((POLICY, "first")))
    await eventually(lambda: wire.connections and wire.transport.writes)
    wire.say([99, 1, 0])
    await first
    wire.transport.writes.clear()
    yield limiter
    await limiter.aclose()


def asked(limiter: SharedLimiter, *keys: str, policy: Policy = POLICY, cost: int = 1) -> list[asyncio.Future[Decision]]:
    return [asyncio.ensure_future(limiter.acquire((policy, key), cost=cost)) for key in keys]


def keys_of(write: bytes) -> list[list[str]]:
    """The keys of each command."""
    sent = [command.split(b"\r\n")[1::2] for command in write.split(b"EVALSHA\r\n")[1:]]
    return [[name.decode().rpartition(":")[2] for name in names[: int(count)]] for _, count, *names in sent]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_each_caller_has_its_own_part_of_the_answer(limiter: SharedLimiter, wire: ResultsWire) -> None:
    calls = asked(limiter, "a", "b", "c")
    await turn()
    assert [keys_of(write) for write in wire.transport.writes] == [[["a", "b", "c"]]]

    wire.say([7, 5_000_000, 0, 0, 6_000_000, 2_000_000, 9, 1, 0])

    assert [tuple(decision)[0::3] for decision in await asyncio.gather(*calls)] == [(True, 7), (False, 0), (True, 9)]
    assert (await calls[1]).retry_after == 2.0
    assert (await calls[0]).reset_after == 5.0


async def test_policies_and_costs_are_commands_of_their_own(limiter: SharedLimiter, wire: ResultsWire) -> None:
    other = TokenBucket(5, 50, name="other")
    calls = [
        *asked(limiter, "a"),
        *asked(limiter, "b", policy=other),
        *asked(limiter, "c", cost=2),
        *asked(limiter, "d"),
        *asked(limiter, "e", policy=other),
    ]
    await turn()

    assert [keys_of(write) for write in wire.transport.writes] == [[["a", "d"], ["b", "e"], ["c"]]]
    wire.say([1, 1, 0, 4, 1, 0], [2, 1, 0, 5, 1, 0], [3, 1, 0])
    decisions = await asyncio.gather(*calls)
    assert [decision.remaining for decision in decisions] == [1, 2, 3, 4, 5]
    assert [decision.policy for decision in decisions] == [POLICY, other, POLICY, POLICY, other]


async def test_a_full_batch_is_written_at_once_and_the_rest_at_the_end_of_the_turn(
    limiter: SharedLimiter, wire: ResultsWire
) -> None:
    calls = asked(limiter, *map(str, range(MOST + 2)))
    written: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: written.append(len(wire.transport.writes)))
    await turn()

    assert written == [1]
    assert [len(keys) for write in wire.transport.writes for keys in keys_of(write)] == [MOST, 2]
    wire.say([1, 1, 0] * MOST, [1, 1, 0] * 2)
    assert all(decision.allowed for decision in await asyncio.gather(*calls))


async def test_batches_are_bounded_while_the_connection_is_being_made(wire: ResultsWire, clock: FakeClock) -> None:
    wire.reachable.clear()
    limiter = SharedLimiter(wire, namespace="n", timeout=30, cooldown=3, max_local_keys=100, clock=clock, hooks=None)
    calls = asked(limiter, *map(str, range(2 * MOST + 1)))
    await turn()
    wire.reachable.set()
    await eventually(lambda: wire.connections and wire.transport.writes)

    assert [len(keys) for write in wire.transport.writes for keys in keys_of(write)] == [MOST, MOST, 1]
    wire.say([1, 1, 0] * MOST, [1, 1, 0] * MOST, [1, 1, 0])
    await asyncio.gather(*calls)
    await limiter.aclose()


async def test_a_caller_cancelled_before_the_write_is_not_asked_for(limiter: SharedLimiter, wire: ResultsWire) -> None:
    calls = asked(limiter, "a", "b", "c")
    await asyncio.sleep(0)
    calls[1].cancel()
    await turn()

    assert [keys_of(write) for write in wire.transport.writes] == [[["a", "c"]]]
    wire.say([1, 1, 0, 3, 1, 0])
    assert [(await calls[0]).remaining, (await calls[2]).remaining] == [1, 3]


async def test_a_batch_that_everybody_left_is_not_written(limiter: SharedLimiter, wire: ResultsWire) -> None:
    calls = asked(limiter, "a", "b")
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await turn()

    assert wire.transport.writes == []


async def test_a_caller_cancelled_while_it_waits_hurts_nobody(limiter: SharedLimiter, wire: ResultsWire) -> None:
    calls = asked(limiter, "a", "b", "c")
    await turn()
    calls[1].cancel()
    await turn()

    wire.say([1, 1, 0, 2, 1, 0, 3, 1, 0])

    assert [(await calls[0]).remaining, (await calls[2]).remaining] == [1, 3]


async def test_an_error_of_redis_is_everybodys(
    limiter: SharedLimiter, wire: ResultsWire, hooks: RecordingHooks
) -> None:
    calls = asked(limiter, "a", "b", "c")
    await turn()
    calls[0].cancel()
    await turn()

    wire.say(RuntimeError("OOM command not allowed"))

    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in done] == [asyncio.CancelledError, LimiterUnavailable, LimiterUnavailable]
    assert [outage.begun for outage in hooks.outages] == [True]


async def test_a_script_is_loaded_once_for_all_whom_redis_did_not_know_it_for(
    limiter: SharedLimiter, wire: ResultsWire
) -> None:
    """Also for those who hear of it when it has been loaded already."""
    calls = [*asked(limiter, "a"), *asked(limiter, "b", cost=2)]
    await turn()
    wire.say(RuntimeError("NOSCRIPT No matching script."))
    await turn()
    wire.say(RuntimeError("NOSCRIPT No matching script."), "digest")
    await turn()

    assert sum(write.count(b"LOAD") for write in wire.transport.writes) == 1
    wire.say([1, 1, 0], [2, 1, 0])
    assert [decision.remaining for decision in await asyncio.gather(*calls)] == [1, 2]


@pytest.mark.parametrize("reply", [[1, 1, 0], [1, 1, 0, 2, 1], [1, 1, 0] * 3, 7, None], ids=repr)
async def test_an_answer_of_another_shape_is_an_outage(
    limiter: SharedLimiter, wire: ResultsWire, hooks: RecordingHooks, reply: Any
) -> None:
    calls = asked(limiter, "a", "b")
    await turn()

    wire.say(reply)

    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in done] == [LimiterUnavailable] * 2
    assert len(hooks.outages) == 1


async def test_a_lost_connection_is_told_to_all_who_still_wait(limiter: SharedLimiter, wire: ResultsWire) -> None:
    calls = asked(limiter, "a", "b")
    await turn()
    calls[0].cancel()
    await turn()

    wire.connections[-1][0].connection_lost(None)

    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in done] == [asyncio.CancelledError, LimiterUnavailable]


async def test_nobody_joins_a_batch_whose_connection_is_lost(wire: ResultsWire, clock: FakeClock) -> None:
    wire.error = ConnectionRefusedError()
    policy = SlidingWindow(100, LONG, on_outage="local")
    limiter = SharedLimiter(wire, namespace="n", timeout=30, cooldown=3, max_local_keys=100, clock=clock, hooks=None)
    assert (await limiter.acquire((policy, "client"))).allowed
    wire.error = None

    await clock.advance(3)
    await eventually(lambda: wire.connections and wire.transport.writes)
    wire.say([])  # the probe's
    await turn()
    again = asked(limiter, "client", policy=policy)
    await eventually(lambda: len(wire.transport.writes) == 2)
    wire.say([42, 1, 0])

    assert (await again[0]).remaining == 42
    await limiter.aclose()


async def test_a_hundred_calls_are_few_commands(make_limiter: MakeLimiter, redis_server: RedisServer) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    before = calls_of(redis_server, "evalsha")

    await asyncio.gather(*(limiter.acquire((POLICY, f"client {number}")) for number in range(100)))

    assert calls_of(redis_server, "evalsha") - before == -(-100 // MOST)


@pytest.mark.parametrize("policy", [FixedWindow(5, LONG), SlidingWindow(5, LONG), TokenBucket(1e-6, 5)], ids=repr)
async def test_a_key_that_is_asked_for_twice_in_a_batch_is_decided_in_order(
    make_limiter: MakeLimiter, policy: Policy
) -> None:
    limiter = make_limiter()

    decisions = await asyncio.gather(*(limiter.acquire((policy, "ab"[number % 2])) for number in range(14)))

    assert [decision.remaining for decision in decisions[::2]] == [4, 3, 2, 1, 0, 0, 0]
    assert [decision.allowed for decision in decisions[1::2]] == [True] * 5 + [False] * 2


async def test_policies_that_count_together_keep_their_own_names_in_decisions(make_limiter: MakeLimiter) -> None:
    """Their outage modes differ, and nothing else: they are one count."""
    closed, local = SlidingWindow(5, LONG), SlidingWindow(5, LONG, on_outage="local")
    limiter = make_limiter()

    one, two = await asyncio.gather(limiter.acquire((closed, "client")), limiter.acquire((local, "client")))
    both = await limiter.acquire((closed, "client"), (local, "client"))

    assert (one.policy, two.policy) == (closed, local)
    assert [one.remaining, two.remaining, both.remaining] == [4, 3, 2]


def test_long_keys_are_not_kept() -> None:
    """A client chooses how long its key is; what is remembered of keys is bounded in bytes, too."""
    commands.key_word("n:limit:p:", "k" * 64)
    known = commands._known.cache_info().currsize

    names = {commands.key_word("n:limit:p:", "k" * 65 + str(number)) for number in range(10)}

    assert len(names) == 10
    assert commands._known.cache_info().currsize == known
