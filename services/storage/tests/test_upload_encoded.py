"""A file may come encoded: what is kept, and what is bounded, is what it decodes to."""

import gzip
from collections.abc import Callable

from aiohttp import ClientSession

MAX_BYTES = 64 << 20


async def test_it_is_kept_decoded(client: ClientSession, content: Callable[[int], bytes]) -> None:
    data = content(300_000)
    async with client.post("/storage/files", data=data) as plain:
        told = await plain.json()

    headers = {"Content-Encoding": "gzip"}
    async with client.post("/storage/files", data=gzip.compress(data, 1), headers=headers) as answer:
        assert (answer.status in {200, 201}, await answer.json()) == (True, told)


async def test_a_bomb_is_refused(client: ClientSession) -> None:
    bomb = gzip.compress(bytes(MAX_BYTES + 1), 1)
    async with client.post("/storage/files", data=bomb, headers={"Content-Encoding": "gzip"}) as answer:
        assert answer.status == 413
