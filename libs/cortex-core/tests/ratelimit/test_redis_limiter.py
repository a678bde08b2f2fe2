"""What the limiter on Redis is beyond the contract: round trips, keys, scripts, connections."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ratelimit import FixedWindow, LimiterUnavailable, RefusalDetails, SlidingWindow, TokenBucket
from cortex_core.ratelimit.redis import DistributedRateLimiter, RedisWire
from cortex_core.ratelimit.redis.commands import LOAD, decide, packed
from cortex_core.testing import RedisServer

from .conftest import MakeLimiter, RecordingHooks
from .redis_figures import calls_of, stat

LONG = 10_000_000.0
POLICY = SlidingWindow(100, LONG)


async def test_processes_share_their_counts(make_limiter: MakeLimiter) -> None:
    one, another = make_limiter(), make_limiter()

    decisions = await asyncio.gather(*(each.acquire((POLICY, "client")) for each in (one, another) for _ in range(90)))

    assert sum(decision.allowed for decision in decisions) == 100


async def test_a_burst_of_1000_at_limit_100_admits_exactly_100(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter()

    decisions = await asyncio.gather(*(limiter.acquire((POLICY, "client")) for _ in range(1000)))

    assert sum(decision.allowed for decision in decisions) == 100


async def test_namespaces_do_not_share(make_limiter: MakeLimiter) -> None:
    one, another = make_limiter(namespace="one"), make_limiter(namespace="another")
    await one.acquire((FixedWindow(1, LONG), "client"))

    assert (await another.acquire((FixedWindow(1, LONG), "client"))).allowed


async def test_a_call_is_one_command_whatever_its_demands(make_limiter: MakeLimiter, redis_server: RedisServer) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    before = calls_of(redis_server, "evalsha")

    await limiter.acquire((POLICY, "client"), (FixedWindow(5, LONG), "tenant"), (TokenBucket(1, 5), "user"))

    assert calls_of(redis_server, "evalsha") - before == 1


async def test_calls_of_a_turn_are_one_connection_and_few_reads(
    make_limiter: MakeLimiter, redis_server: RedisServer
) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    connections, reads = stat(redis_server, "total_connections_received"), stat(redis_server, "total_reads_processed")

    await asyncio.gather(*(limiter.acquire((POLICY, "client")) for _ in range(100)))

    probes = 2  # each of the two figures below is asked over a connection of its own, and is read before it counts
    assert stat(redis_server, "total_connections_received") - connections <= probes
    assert stat(redis_server, "total_reads_processed") - reads <= 10 + probes


async def test_a_script_that_redis_forgot_is_loaded_again_once(
    make_limiter: MakeLimiter, redis_server: RedisServer
) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    redis_server.command("SCRIPT", "FLUSH")
    loads = calls_of(redis_server, "script")

    decisions = await asyncio.gather(*(limiter.acquire((POLICY, "client")) for _ in range(200)))

    assert sum(decision.allowed for decision in decisions) == 99
    assert calls_of(redis_server, "script") - loads == 1
    redis_server.command("SCRIPT", "FLUSH")
    assert not (await limiter.acquire((POLICY, "client"))).allowed


async def test_a_script_that_redis_forgot_is_no_outage(make_limiter: MakeLimiter, redis_server: RedisServer) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    redis_server.command("SCRIPT", "FLUSH")

    await limiter.check()

    assert (await limiter.acquire((POLICY, "client"), (POLICY, "tenant"))).allowed


async def test_a_refusal_is_told(make_limiter: MakeLimiter, hooks: RecordingHooks) -> None:
    limiter = make_limiter(hooks=hooks)
    for _ in range(2):
        decision = await limiter.acquire((FixedWindow(1, LONG), "client"))

    assert hooks.refusals == [RefusalDetails("default", "redis", decision.retry_after)]


async def test_hostile_keys_have_bounded_names(make_limiter: MakeLimiter, redis_server: RedisServer) -> None:
    limiter = make_limiter()
    for key in ("k" * 100_000, "{tag}", "a\r\nb", "\ud800"):
        await limiter.acquire((FixedWindow(1, LONG, name="n" * 64), key))

    names = redis_server.command("KEYS", "*")

    assert len(names) == 4
    assert all(len(name) < 200 and "{" not in name and "\n" not in name for name in names)
    assert all(int(redis_server.command("PTTL", name)) > 0 for name in names)


async def test_a_namespace_may_hold_the_hash_tag_that_a_cluster_needs(
    make_limiter: MakeLimiter, redis_server: RedisServer
) -> None:
    await make_limiter(namespace="{limits}").acquire((POLICY, "client"), (POLICY, "tenant"))

    assert all(name.startswith("{limits}:limit:") for name in redis_server.command("KEYS", "*"))


@given(key=st.text(max_size=300), namespace=st.sampled_from(["cortex", "{x}"]), cost=st.integers(1, 100))
def test_a_command_is_whole_whatever_the_key(key: str, namespace: str, cost: int) -> None:
    command = decide(namespace, [(POLICY, key), (FixedWindow(100, 1), key)], cost)

    words = list(_words(command))
    assert words[0] == b"EVALSHA"
    assert words[2] == b"2"
    assert len(words) == 3 + 2 + 1 + 2 * 4
    assert all(len(word) < 150 for word in words)


async def test_a_caller_that_is_cancelled_hurts_nobody(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))

    calls = [asyncio.ensure_future(limiter.acquire((POLICY, "client"))) for _ in range(90)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    done = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(each, asyncio.CancelledError) for each in done) == 45
    assert all(each.allowed for each in done if not isinstance(each, BaseException))


async def test_the_password_and_the_database_of_the_url_are_used(redis_url: str, redis_server: RedisServer) -> None:
    redis_server.command("ACL", "SETUSER", "limiter", "on", ">se/cret", "~*", "+@all")
    address = redis_url.removeprefix("redis://").removesuffix("/0")
    limiter = DistributedRateLimiter(f"redis://limiter:se%2Fcret@{address}/3", timeout=5)
    try:
        assert (await limiter.acquire((POLICY, "client"))).allowed
        await limiter.check()
    finally:
        await limiter.aclose()
        redis_server.command("ACL", "DELUSER", "limiter")

    assert redis_server.command("DBSIZE") == 0
    assert "db3:keys=1" in redis_server.command("INFO", "keyspace")


async def test_redis_is_reached_over_a_unix_socket(tmp_path: Path) -> None:
    path, ended = tmp_path / "redis.sock", asyncio.Event()

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(b"+OK\r\n*3\r\n:7\r\n:60000000\r\n:0\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_unix_server(answering, path)
    limiter = DistributedRateLimiter(f"unix://{path}", timeout=5)

    decision = await limiter.acquire((POLICY, "client"))

    assert (decision.remaining, decision.reset_after) == (7, 60.0)
    await limiter.aclose()
    await asyncio.wait_for(ended.wait(), 30)
    server.close()
    await server.wait_closed()


def test_a_url_with_tls_checks_the_servers_certificate() -> None:
    assert RedisWire("redis://localhost")._tls is None
    context = RedisWire("rediss://localhost?ssl_check_hostname=true")._tls

    assert context is not None
    assert context.check_hostname


@pytest.mark.parametrize(
    ("url", "greeting"),
    [
        ("redis://localhost", [LOAD]),
        ("redis://:p@localhost/0", [packed("AUTH", "p"), LOAD]),
        ("redis://u:p@localhost/7", [packed("AUTH", "u", "p"), packed("SELECT", "7"), LOAD]),
    ],
)
def test_a_connection_begins_with_what_the_url_asks_for(url: str, greeting: list[bytes]) -> None:
    assert list(RedisWire(url).greeting) == greeting


def test_what_is_no_url_is_an_error_that_keeps_the_password() -> None:
    with pytest.raises(ValueError, match="not a Redis URL") as raised:
        DistributedRateLimiter("http://user:secret@localhost")

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"timeout": 0}, "timeout"),
        ({"cooldown": -1}, "cooldown"),
        ({"namespace": ""}, "namespace"),
        ({"namespace": "n" * 65}, "namespace"),
        ({"max_local_keys": 0}, "max_keys"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DistributedRateLimiter("redis://localhost", **settings)


async def test_a_closed_limiter_admits_nothing(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter()
    await limiter.acquire((POLICY, "client"))
    waiting = asyncio.ensure_future(limiter.acquire((SlidingWindow(5, LONG, on_outage="local"), "client")))
    await asyncio.sleep(0)

    await limiter.aclose()

    with pytest.raises(LimiterUnavailable):
        await waiting
    with pytest.raises(LimiterUnavailable, match="closed"):
        await limiter.acquire((SlidingWindow(5, LONG, on_outage="local"), "client"))
    with pytest.raises(LimiterUnavailable):
        await limiter.check()


async def test_a_limiter_that_was_never_used_closes() -> None:
    await DistributedRateLimiter("redis://localhost:1").aclose()


def _words(command: bytes) -> Iterator[bytes]:
    header, _, rest = command.partition(b"\r\n")
    for _ in range(int(header[1:])):
        size, _, rest = rest.partition(b"\r\n")
        word, rest = rest[: int(size[1:])], rest[int(size[1:]) :]
        assert rest.startswith(b"\r\n")
        rest = rest[2:]
        yield word
    assert rest == b""
