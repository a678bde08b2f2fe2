"""The two stores: what they promise alike, and what is Redis' own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from cortex_core.security.api_keys import KeysUnavailable, MemoryApiKeys
from cortex_core.security.redis import RedisApiKeys
from cortex_core.testing import FakeClock, RedisServer, free_port
from cortex_core.testing.contracts.apikeys import MOST, NOW, ApiKeysContract, a_key, added


class TestMemoryApiKeys(ApiKeysContract):
    @pytest.fixture
    async def keys(self) -> MemoryApiKeys:
        return MemoryApiKeys(max_keys=MOST)

    async def test_what_ended_is_kept_for_an_hour(self, clock: FakeClock) -> None:
        keys = MemoryApiKeys(clock=clock)
        first, second = await added(keys), await added(keys)
        start = (await keys.ended_since(0)).at
        await keys.revoke("acme", first.id, NOW, "root")
        await clock.advance(3601)
        await keys.revoke("acme", second.id, NOW, "root")

        assert (await keys.ended_since(start)).key_ids == (second.id,)


def calls(server: RedisServer) -> int:
    """Scripts that were run so far."""
    found = [line for line in str(server.command("INFO", "commandstats")).splitlines() if "_evalsha:" in line]
    return int(found[0].split("calls=")[1].split(",")[0]) if found else 0


class TestRedisApiKeys(ApiKeysContract):
    @pytest.fixture
    async def keys(self, redis_url: str) -> AsyncIterator[RedisApiKeys]:
        keys = RedisApiKeys(redis_url, namespace="test", max_keys=MOST, timeout=5)
        yield keys
        await keys.aclose()

    async def test_replicas_share_them_and_namespaces_do_not(self, keys: RedisApiKeys, redis_url: str) -> None:
        replica, stranger = RedisApiKeys(redis_url, namespace="test"), RedisApiKeys(redis_url, namespace="other")
        key = await added(keys)

        assert await replica.find(key.id) == key
        assert await stranger.find(key.id) is None
        assert await stranger.page("acme", limit=10) == []
        await replica.aclose()
        await stranger.aclose()

    async def test_no_secret_and_no_text_of_it_is_in_what_redis_has(
        self, keys: RedisApiKeys, redis_server: RedisServer
    ) -> None:
        key = await added(keys)

        fields = redis_server.command("HGETALL", f"{{test:api-keys}}:key:{key.id}")

        assert "ck_" not in str(fields)

    async def test_a_restarted_server_has_them_still(self, keys: RedisApiKeys, redis_server: RedisServer) -> None:
        key = await added(keys)
        revoked = await keys.revoke("acme", (await added(keys)).id, NOW, "root")

        redis_server.stop()
        redis_server.start()

        assert await keys.find(key.id) == key
        assert await keys.find(revoked.id) == revoked

    async def test_each_call_is_one_round_trip(self, keys: RedisApiKeys, redis_server: RedisServer) -> None:
        key = await added(keys)
        await keys.page("acme", limit=10)
        await keys.note_uses({key.id: NOW})
        await keys.revoke("acme", (await added(keys)).id, NOW, "root")
        before = calls(redis_server)

        await keys.find(key.id)
        await keys.page("acme", limit=10)
        await keys.note_uses({key.id: NOW + timedelta(seconds=1)})
        await keys.revoke("acme", key.id, NOW, "root")

        assert calls(redis_server) - before == 3  # find is a plain HGETALL

    async def test_many_uses_are_noted_in_batches(self, keys: RedisApiKeys) -> None:
        key = await added(keys)
        strangers = {a_key().id: NOW for _ in range(1200)}

        await keys.note_uses({**strangers, key.id: NOW})

        assert (await keys.get("acme", key.id)).last_used_at == NOW


async def test_a_redis_that_is_away_costs_little_once_and_nothing_for_a_while(clock: FakeClock) -> None:
    keys = RedisApiKeys(f"redis://127.0.0.1:{free_port()}/0", retry_after=0.5, clock=clock)

    with pytest.raises(KeysUnavailable) as first:
        await keys.find(a_key().id)
    with pytest.raises(KeysUnavailable, match="a moment ago"):
        await keys.find(a_key().id)
    await clock.advance(0.6)
    with pytest.raises(KeysUnavailable, match="does not answer"):
        await keys.find(a_key().id)

    assert (first.value.retryable, first.value.retry_after) == (True, 0.5)
    await keys.aclose()


async def test_a_redis_that_is_silent_costs_its_timeout() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        keys = RedisApiKeys(f"redis://127.0.0.1:{port}/0", timeout=0.02)

        with pytest.raises(KeysUnavailable, match="TooLate"):
            await asyncio.wait_for(keys.find(a_key().id), 30)

        await keys.aclose()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"timeout": 0}, "timeout"), ({"retry_after": -1}, "retry_after"), ({"connections": 0}, "connections")],
)
def test_impossible_terms_are_refused(arguments: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RedisApiKeys("redis://127.0.0.1/0", **arguments)  # type: ignore[arg-type]  # that is the point


def test_a_url_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="not a Redis URL") as caught:
        RedisApiKeys("redis://user:hunter2@host:notaport/0")

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
