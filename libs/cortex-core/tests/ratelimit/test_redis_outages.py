"""Redis stopped, killed, hanging, refusing: bounded waits, the declared mode, and back by itself."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from cortex_core.kernel import Kind, SystemClock
from cortex_core.ratelimit import FixedWindow, Limiter, LimiterUnavailable, SlidingWindow, TokenBucket
from cortex_core.ratelimit.redis import DistributedRateLimiter
from cortex_core.ratelimit.redis.limiter import SharedLimiter
from cortex_core.testing import FakeClock, RedisServer, assert_bound, eventually, free_port

from .conftest import MakeLimiter, RecordingHooks

LONG = 10_000_000.0
CLOSED = SlidingWindow(10, LONG, name="closed")
LOCAL = SlidingWindow(10, LONG, name="local", on_outage="local", share=0.5)


async def admitted(limiter: Limiter, policy: SlidingWindow, times: int) -> int:
    return sum([(await limiter.acquire((policy, "client"))).allowed for _ in range(times)])


async def test_closed_refuses_and_says_when_to_come_back(redis_server: RedisServer, make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(cooldown=7)
    redis_server.stop(kill=True)

    with pytest.raises(LimiterUnavailable) as raised:
        await limiter.acquire((CLOSED, "client"))

    error = raised.value
    assert (error.code, error.kind, error.retry_after) == ("rate-limit.unavailable", Kind.UNAVAILABLE, 7)
    assert error.retryable
    assert not error.attempted


async def test_local_counts_here_against_its_share(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(cooldown=100, hooks=hooks)
    redis_server.stop(kill=True)

    assert await admitted(limiter, LOCAL, 20) == 5

    assert {refusal.source for refusal in hooks.refusals} == {"outage"}
    assert (await limiter.acquire((LOCAL, "another"))).limit == 5


async def test_a_connection_that_ends_while_nobody_asks_is_no_outage(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(cooldown=7)
    assert (await limiter.acquire((CLOSED, "client"))).remaining == 9

    redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await eventually(lambda: limiter._pipeline._link is None)

    assert (await limiter.acquire((CLOSED, "client"))).remaining == 8
    assert hooks.outages == []


async def test_of_several_policies_the_strictest_mode_holds(
    redis_server: RedisServer, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(cooldown=100)
    redis_server.stop(kill=True)

    with pytest.raises(LimiterUnavailable):
        await limiter.acquire((LOCAL, "client"), (CLOSED, "client"))
    assert (await limiter.acquire((LOCAL, "client"), (LOCAL, "tenant"))).allowed


async def test_a_call_that_costs_more_than_the_share_waits_for_redis(
    redis_server: RedisServer, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(cooldown=100)
    redis_server.stop(kill=True)

    with pytest.raises(LimiterUnavailable):
        await limiter.acquire((LOCAL, "client"), cost=6)
    assert (await limiter.acquire((LOCAL, "client"), cost=5)).allowed


class Unreachable:
    """A `Wire` that counts who wants to use it."""

    greeting = ()
    attempts = 0

    async def connect(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        self.attempts += 1
        raise ConnectionRefusedError

    def parser(self) -> Any:
        return None


async def test_after_the_first_calls_nobody_tries_but_the_probe(clock: FakeClock) -> None:
    wire = Unreachable()
    limiter = SharedLimiter(wire, namespace="n", timeout=5, cooldown=3, max_local_keys=100, clock=clock, hooks=None)

    await asyncio.gather(*(limiter.acquire((LOCAL, "client")) for _ in range(20)))
    await admitted(limiter, LOCAL, 100)
    assert wire.attempts == 1

    await clock.advance(3)
    await eventually(lambda: wire.attempts == 2)
    await admitted(limiter, LOCAL, 100)
    assert wire.attempts == 2
    await limiter.aclose()


@pytest.mark.bound
async def test_a_hanging_redis_is_waited_for_once(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(timeout=0.1, cooldown=100, hooks=hooks)
    await limiter.acquire((LOCAL, "client"))
    redis_server.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        decisions = await asyncio.gather(*(limiter.acquire((LOCAL, "client")) for _ in range(50)))
        first = time.monotonic() - started

        started = time.monotonic()
        for _ in range(100):
            await limiter.acquire((LOCAL, "client"))
        rest = time.monotonic() - started
    finally:
        redis_server.send_signal(signal.SIGCONT)

    assert sum(decision.allowed for decision in decisions) == 5
    assert first >= 0.1
    assert_bound(first, 0.2)
    assert_bound(rest, 0.1)
    assert [(details.begun, details.error) for details in hooks.outages] == [(True, "TimeoutError")]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_loop_that_was_kept_busy_does_not_take_that_for_an_outage(
    redis_url: str, hooks: RecordingHooks, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def kept_busy() -> None:
        limiter = DistributedRateLimiter(redis_url, timeout=0.05, hooks=hooks)
        await limiter.acquire((CLOSED, "client"))
        asked = [asyncio.ensure_future(limiter.acquire((CLOSED, "client"))) for _ in range(3)]
        for _ in range(3):
            SystemClock().pause(0.1)  # before the write, after it, and with the answer in our hands
            await asyncio.sleep(0)
        assert all(decision.allowed for decision in await asyncio.gather(*asked))
        await limiter.aclose()

    run(kept_busy())

    assert hooks.outages == []


@pytest.mark.bound
async def test_a_redis_that_hangs_before_the_first_connection_is_waited_for_as_long(
    redis_server: RedisServer, make_limiter: MakeLimiter
) -> None:
    limiter = make_limiter(timeout=0.1, cooldown=100)
    redis_server.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(LimiterUnavailable):
            await limiter.acquire((CLOSED, "client"))
        assert_bound(time.monotonic() - started, 0.2)
    finally:
        redis_server.send_signal(signal.SIGCONT)


async def test_it_comes_back_by_itself_and_tells_so(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(hooks=hooks)
    assert await admitted(limiter, LOCAL, 7) == 7
    redis_server.stop()
    assert await admitted(limiter, LOCAL, 7) == 5
    with pytest.raises(LimiterUnavailable):
        await limiter.check()

    redis_server.start()
    await eventually(lambda: len(hooks.outages) == 2)

    assert await admitted(limiter, LOCAL, 7) == 3, "what was counted before the outage, and nothing of it"
    await limiter.check()
    begun, ended = hooks.outages
    assert begun.begun
    assert not ended.begun
    assert ended.seconds > 0


async def test_it_comes_back_after_redis_hung(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(timeout=0.05, hooks=hooks)
    await limiter.acquire((LOCAL, "client"))
    redis_server.send_signal(signal.SIGSTOP)
    try:
        await limiter.acquire((LOCAL, "client"))
    finally:
        redis_server.send_signal(signal.SIGCONT)

    await eventually(lambda: len(hooks.outages) == 2)
    decision = await limiter.acquire((LOCAL, "client"))

    assert decision.limit == 10


async def test_it_probes_until_it_is_answered(clock: FakeClock, hooks: RecordingHooks) -> None:
    limiter = DistributedRateLimiter(
        f"redis://127.0.0.1:{free_port()}", timeout=5, cooldown=3, clock=clock, hooks=hooks
    )
    await admitted(limiter, LOCAL, 1)

    for _ in range(3):
        await eventually(lambda: clock.sleepers == 1)
        await clock.advance(3)

    assert [details.begun for details in hooks.outages] == [True]
    await limiter.aclose()


async def test_a_redis_that_refuses_is_away_until_it_does_not(
    redis_server: RedisServer, redis_url: str, hooks: RecordingHooks
) -> None:
    """Out of memory, read-only, or a user without rights: an answer that decides nothing."""
    redis_server.command("ACL", "SETUSER", "weak", "on", ">weak", "~*", "+script", "+ping")
    address = redis_url.removeprefix("redis://")
    limiter = DistributedRateLimiter(f"redis://weak:weak@{address}", timeout=5, cooldown=0.02, hooks=hooks)
    try:
        assert await admitted(limiter, LOCAL, 7) == 5
        assert len(hooks.outages) == 1

        redis_server.command("ACL", "SETUSER", "weak", "+@all")
        await eventually(lambda: len(hooks.outages) == 2)
        assert await admitted(limiter, LOCAL, 20) == 10
    finally:
        await limiter.aclose()
        redis_server.command("ACL", "DELUSER", "weak")


async def test_a_restarted_redis_that_lost_its_data_counts_anew(
    redis_server: RedisServer, make_limiter: MakeLimiter, hooks: RecordingHooks
) -> None:
    limiter = make_limiter(hooks=hooks)
    bucket = TokenBucket(rate=1e-6, burst=3, name="bucket")
    for _ in range(3):
        assert (await limiter.acquire((bucket, "client"))).allowed
    redis_server.stop(kill=True)
    redis_server.start()
    redis_server.flush()
    with pytest.raises(LimiterUnavailable):
        await limiter.acquire((FixedWindow(1, LONG), "client"))

    await eventually(lambda: len(hooks.outages) == 2)

    assert (await limiter.acquire((bucket, "client"))).remaining == 2


async def test_it_can_be_closed_during_an_outage(redis_server: RedisServer, make_limiter: MakeLimiter) -> None:
    limiter = make_limiter(cooldown=100)
    redis_server.stop(kill=True)
    await admitted(limiter, LOCAL, 1)

    await limiter.aclose()

    with pytest.raises(LimiterUnavailable):
        await admitted(limiter, LOCAL, 1)
