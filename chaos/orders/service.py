"""The order service and its payment provider as processes, and a customer who does not give up."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from chaos.surroundings import Process, Surroundings, started
from cortex_core.testing import eventually, free_port

BODY: Final = {
    "customerId": "cus_chaos",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}
_AWAY: Final = (aiohttp.ClientError, TimeoutError, ConnectionError)  # what a killed service looks like from outside


@dataclass(slots=True)
class OrderService:
    """One replica; `url` stays the same over kills."""

    process: Process
    url: str

    async def ready(self, within: float = 60.0) -> None:
        async with aiohttp.ClientSession() as client:

            async def answers() -> bool:
                if not self.process.alive:
                    raise RuntimeError(self.process.last_words())
                try:
                    async with client.get(f"{self.url}/health/ready") as answer:
                        return answer.status == 200
                except _AWAY:
                    return False

            await eventually(answers, within=within)


def order_service(around: Surroundings, database_url: str, provider: str, *, name: str = "order") -> OrderService:
    port = free_port()
    environment = {
        "CORTEX_ENV": "test",
        "CORTEX_LOG_LEVEL": "warning",
        "CORTEX_REDIS_URL": around.redis.url,
        "ORDER_PORT": str(port),
        "ORDER_DATABASE_URL": database_url,
        "ORDER_PAYMENT_URL": provider,
        "ORDER_PAYMENT_RETRY_DELAY": "0.05",
    }
    process = Process(("-m", "cortex_order.main"), around.folder / f"{name}.log", environment)
    return OrderService(process, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def payment_provider(around: Surroundings, latency: float = 0.005) -> AsyncIterator[str]:
    """The sandbox's URL."""
    port = free_port()
    arguments = ("-m", "cortex_order.sandbox", "--port", str(port), "--latency", str(latency))
    url = f"http://127.0.0.1:{port}"
    async with (
        started(Process(arguments, around.folder / "sandbox.log", {"CORTEX_ENV": "test"})),
        aiohttp.ClientSession() as client,
    ):

        async def answers() -> bool:
            try:
                async with client.get(f"{url}/settings") as answer:
                    return answer.status == 200
            except _AWAY:
                return False

        await eventually(answers, within=30.0)
        yield url


@dataclass(slots=True)
class Customers:
    """Places orders until each is acknowledged, over whatever happens to the service. Notes what was acknowledged."""

    url: str
    keyed: bool = True  # send an Idempotency-Key, so that a repeated request is the same order
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    repeats: int = 0
    slowest: float = 0.0

    async def place(self, count: int, *, at_once: int = 32) -> None:
        intents = iter(range(count))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0)) as client:
            await asyncio.gather(*(self._work(client, intents) for _ in range(at_once)))

    async def _work(self, client: aiohttp.ClientSession, intents: Any) -> None:
        for _ in intents:
            await self._one(client)

    async def _one(self, client: aiohttp.ClientSession) -> None:
        headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'} if self.keyed else {}
        began = asyncio.get_running_loop().time()
        while True:
            try:
                async with client.post(f"{self.url}/orders", json=BODY, headers=headers) as answer:
                    body = await answer.json(content_type=None)
                    if answer.status == 201:
                        self.acknowledged.append(body["orderId"])
                        self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)
                        return
                    if answer.status not in {
                        409,
                        503,
                        504,
                    }:  # in progress, or not now: ask again; all else is a refusal
                        self.refused.append(f"{answer.status} {body}")
                        return
            except _AWAY:
                pass
            self.repeats += 1
            await asyncio.sleep(random.uniform(0.02, 0.1))


async def orders_of(url: str) -> dict[str, str]:
    """Every order the service lists, with its status."""
    found: dict[str, str] = {}
    cursor: str | None = ""
    async with aiohttp.ClientSession() as client:
        while cursor is not None:
            parameters = {"limit": "100", **({"cursor": cursor} if cursor else {})}
            async with client.get(f"{url}/orders", params=parameters) as answer:
                answer.raise_for_status()
                page = await answer.json()
            found.update({order["orderId"]: order["status"] for order in page["orders"]})
            cursor = page["nextCursor"]
    return found


async def all_final(url: str, within: float) -> dict[str, str]:
    """The orders, as soon as none is on its way any more."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        orders = await orders_of(url)
        if not set(orders.values()) & {"pending", "processing"}:
            return orders
        if loop.time() > end:
            raise AssertionError(f"orders are still on their way after {within} s")
        await asyncio.sleep(0.5)


async def charges_of(provider: str, orders: Sequence[str]) -> dict[str, list[str]]:
    """Of each order the states of its charges at the provider."""
    found: dict[str, list[str]] = {}
    waiting = iter(orders)
    async with aiohttp.ClientSession() as client:

        async def ask() -> None:
            for order in waiting:
                async with client.get(f"{provider}/charges/{order}") as answer:
                    body = await answer.json() if answer.status == 200 else {"charges": []}
                    found[order] = [charge["status"] for charge in body["charges"]]

        await asyncio.gather(*(ask() for _ in range(16)))
    return found
