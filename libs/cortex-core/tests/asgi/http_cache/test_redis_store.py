"""What the Redis store does beyond the contract: lives of their own, and what it remembers by itself."""

from collections.abc import AsyncIterator

import pytest

from cortex_core.asgi.http_cache.redis import RedisCacheStore
from cortex_core.testing import RedisServer
from cortex_core.testing.contracts.httpcache import an_answer, headers, stored


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisCacheStore]:
    store = RedisCacheStore(redis_url, namespace="test", timeout=5)
    yield store
    await store.aclose()


def calls(server: RedisServer, command: str) -> int:
    """How often the server was asked for it, by scripts or not."""
    found = [line for line in str(server.command("INFO", "commandstats")).splitlines() if f"_{command}:" in line]
    return int(found[0].split("calls=")[1].split(",")[0]) if found else 0


async def test_who_has_put_an_answer_knows_by_what_it_differs(
    store: RedisCacheStore, redis_server: RedisServer
) -> None:
    await stored(store, "key", an_answer(vary=("x",), x="1"))
    before = calls(redis_server, "evalsha")

    assert (await store.get("key", headers(x="1"))).answer is not None

    assert calls(redis_server, "evalsha") == before + 1


async def test_long_addresses_are_remembered_by_their_digests(store: RedisCacheStore) -> None:
    await stored(store, "x" * 10_000, an_answer())

    assert max(map(len, store._hints)) < 100
