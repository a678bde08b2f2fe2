"""An order may come encoded, and is bounded by what it decodes to."""

import gzip
import json

import aiohttp

ORDER = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_canary",
}


async def post(client: aiohttp.ClientSession, body: bytes) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/orders", data=gzip.compress(body), headers=headers) as answer:
        told = await answer.json()
        return answer.status, told.get("code") or told["status"]


async def test_it_is_placed(client: aiohttp.ClientSession) -> None:
    assert await post(client, json.dumps(ORDER).encode()) == (201, "pending")


async def test_a_bomb_is_refused(client: aiohttp.ClientSession) -> None:
    assert await post(client, bytes(64 << 20)) == (413, "request.too-large")
