"""Nobody turns API keys off for others: a flood of made-up keys from one address is that address's own wait."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import pytest

from cortex_core.kernel import Principal
from cortex_core.kernel.ids import new_id
from cortex_core.security.api_keys import KeyDesk, KeysUnavailable, KeyWish, MemoryApiKeys, Peppers, new_key
from cortex_core.security.redis import RedisApiKeys

PEPPER = "0123456789abcdef" * 4
ROOT = Principal("root", "public", frozenset({"orders:read"}), method="jwt")
CONNECTIONS = 500


@pytest.fixture
async def keys(redis_url: str) -> AsyncIterator[RedisApiKeys]:
    keys = RedisApiKeys(redis_url, namespace="test")
    yield keys
    await keys.aclose()


async def made(keys: Any) -> str:
    desk = KeyDesk(keys, Peppers.of(PEPPER), plans={"free"})
    return (await desk.create(ROOT, KeyWish("n", frozenset({"orders:read"})))).secret


async def status(client: Any, secret: str, session: Any = None) -> int:
    url = client._base_url / "api/orders"
    async with (session or client).get(url, headers={"X-API-Key": secret}) as reply:
        await reply.read()
        return int(reply.status)


async def test_made_up_keys_over_five_hundred_connections_harm_nobody(
    start_express: Any, recorder: Any, keys: RedisApiKeys
) -> None:
    good = [await made(keys) for _ in range(12)]
    settings = {"key_pepper": PEPPER, "rate_limit_per_minute": 100, "failed_attempts_per_minute": 20}
    async with start_express(settings, {"api_keys": keys}, order=recorder()) as client:
        wrong = iter([new_key(new_id("key")).text for _ in range(2 * CONNECTIONS)])
        many = aiohttp.TCPConnector(limit=CONNECTIONS)
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0), family=socket.AF_INET)
        async with aiohttp.ClientSession(connector=many) as flood, aiohttp.ClientSession(connector=elsewhere) as other:

            async def ask(secrets: Iterable[str]) -> set[int]:
                return {await status(client, each, flood) for each in secrets}

            flooding = [asyncio.create_task(ask(wrong)) for _ in range(CONNECTIONS)]
            there = [await status(client, each, other) for each in good[:6]]
            here = [await status(client, each) for each in good[6:]]
            told = set().union(*await asyncio.gather(*flooding))

    assert there == [200] * 6, "from another address"
    assert here == [200] * 6, "from the same one"
    assert told <= {401, 429}, "the flood itself is refused, and Redis was never taken for gone"


class Away(MemoryApiKeys):
    """A store that cannot be reached."""

    async def find(self, key_id: str) -> Any:
        raise KeysUnavailable(f"no {key_id[:4]}")


async def test_who_could_not_be_checked_costs_his_address_nothing(start_gateway: Any, recorder: Any) -> None:
    settings = {"key_pepper": PEPPER, "rate_limit_per_minute": 1, "failed_attempts_per_minute": 1}
    async with start_gateway(settings, {"api_keys": Away()}, order=recorder()) as client:
        unchecked = [await status(client, new_key(new_id("key")).text) for _ in range(4)]
        async with client.get("/api/orders") as nobody:
            assert nobody.status == 200

    assert unchecked == [503] * 4
