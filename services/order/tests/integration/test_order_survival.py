"""On real processes and the real Redis: what was acknowledged survives a kill and an outage of the bus, once."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus
from cortex_core.testing import RedisServer, eventually, free_port, serving
from cortex_order.sandbox import Sandbox

from ..provider_gate import Gate

BODY = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}
TYPES = ["order.completed", "order.created", "order.state.changed", "order.state.changed"]


class Process:
    """`python -m cortex_order.main` on a port and a database that stay the same over restarts."""

    def __init__(self, folder: Path, redis: str, provider: str) -> None:
        self.port = free_port()
        self.environment = {
            **os.environ,
            "CORTEX_ENV": "test",
            "CORTEX_REDIS_URL": redis,
            "ORDER_PORT": str(self.port),
            "ORDER_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/order.db",
            "ORDER_PAYMENT_URL": provider,
            "ORDER_PAYMENT_RETRY_DELAY": "0.05",
            "ORDER_PAYMENT_TIMEOUT": "30",
        }
        self._log = folder / "order.log"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cortex_order.main", env=self.environment, stdout=log, stderr=log
            )
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as client:
                await eventually(self._ready(process, client), within=30.0)
                yield process, client
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 15.0)

    def _ready(
        self, process: asyncio.subprocess.Process, client: aiohttp.ClientSession
    ) -> Callable[[], Awaitable[bool]]:
        async def ready() -> bool:
            if process.returncode is not None:
                raise RuntimeError(self._log.read_text()[-3000:])
            try:
                async with client.get("/health/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        return ready


async def place(client: aiohttp.ClientSession) -> str:
    async with client.post("/orders", json=BODY) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["orderId"])


async def statuses(client: aiohttp.ClientSession) -> Counter[str]:
    async with client.get("/orders?limit=100") as answer:
        return Counter(order["status"] for order in (await answer.json())["orders"])


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(latency=0.0)
    async with serving(sandbox) as session:
        yield sandbox, str(session._base_url)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[list[CloudEvent]]:
    """Everything that ever was published about orders."""
    heard: list[CloudEvent] = []

    async def hear(event: CloudEvent) -> None:
        heard.append(event)

    bus = RedisEventBus(url, consumer="test")
    await bus.consume("test", ["order"], hear)
    try:
        yield heard
    finally:
        await bus.aclose()


async def test_orders_survive_a_kill_and_each_is_charged_and_told_once(
    tmp_path: Path, redis_url: str, provider: tuple[Sandbox, str]
) -> None:
    sandbox, url = provider
    sandbox.sleep = gate = Gate()
    gate.shut()
    service = Process(tmp_path, redis_url, url)

    async with service.running() as (process, client):
        placed = [await place(client) for _ in range(10)]
        await eventually(lambda: sandbox.accounts)
        process.kill()
        await process.wait()
    gate.open()
    async with service.running() as (_, client), listening(redis_url) as heard:

        async def completed() -> bool:
            return await statuses(client) == {"completed": 10}

        await eventually(completed, within=20.0)
        await eventually(lambda: len({event.id for event in heard}) >= 40, within=20.0)

    assert any(account.calls > 1 for account in sandbox.accounts.values()), "no payment was interrupted by the kill"
    assert {order: len(account.charges) for order, account in sandbox.accounts.items()} == dict.fromkeys(placed, 1)
    told = {event.id: event for event in heard}
    for order_id in placed:
        assert sorted(event.type for event in told.values() if event.subject == order_id) == TYPES


async def test_an_outage_of_the_bus_costs_nothing_but_time(
    tmp_path: Path, redis_server: RedisServer, redis_url: str, provider: tuple[Sandbox, str]
) -> None:
    _, url = provider
    service = Process(tmp_path, redis_url, url)

    async with service.running() as (_, client):
        redis_server.stop(kill=True)
        try:
            placed = [await place(client) for _ in range(5)]

            async def completed() -> bool:
                return await statuses(client) == {"completed": 5}

            await eventually(completed, within=20.0)
            async with client.get("/health/ready") as answer:
                report: dict[str, Any] = await answer.json()
                assert (answer.status, report["checks"]["event-bus"]["status"]) == (200, "down")
        finally:
            redis_server.start()
        async with listening(redis_url) as heard:
            await eventually(lambda: len({event.id for event in heard}) == 20, within=30.0)

    for order_id in placed:
        of_order = [event for event in heard if event.subject == order_id]
        assert [event.version for event in of_order] == sorted(event.version or 0 for event in of_order)
        assert sorted({event.id: event.type for event in of_order}.values()) == TYPES


async def test_it_ends_by_itself_when_told_to(tmp_path: Path, redis_url: str, provider: tuple[Sandbox, str]) -> None:
    service = Process(tmp_path, redis_url, provider[1])

    async with service.running() as (process, client):
        await place(client)
        process.terminate()
        ended = await asyncio.wait_for(process.wait(), 30.0)

    assert ended == 0
