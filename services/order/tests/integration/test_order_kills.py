"""On real processes: the order service is killed again and again under load, ended with orders in hand, and left
without its provider. Nothing that was acknowledged is lost, and nobody pays twice."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cortex_core.testing import eventually, free_port, serving
from cortex_order.sandbox import Sandbox

from ..provider_gate import Gate

KILLS = 20
WRITERS = 8
BODY = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}


@dataclass
class Service:
    """`python -m cortex_order.main`, on a port and a database that stay the same from one life to the next."""

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "CORTEX_ENV": "test",
            "CORTEX_LOG_LEVEL": "warning",
            "ORDER_PORT": str(self.port),
            "ORDER_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder}/order.db",
            "ORDER_PAYMENT_RETRY_DELAY": "0.05",
            "ORDER_PAYMENT_TIMEOUT": "30",
            **self.environment,
        }
        with (self.folder / "order.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cortex_order.main", env=environment, stdout=log, stderr=log
            )

    @asynccontextmanager
    async def living(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """One life, killed at its end."""
        process = await self.start()
        try:
            yield process
        finally:
            await kill(process)


@dataclass
class Ledger:
    """What the clients were told: the order that each key was acknowledged with, and how often nobody answered."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: int = 0
    contradictions: list[str] = field(default_factory=list)

    async def place(self, client: aiohttp.ClientSession, key: str) -> None:
        """Asks until it is acknowledged."""
        while True:
            try:
                async with client.post("/orders", json=BODY, headers={"Idempotency-Key": key}) as answer:
                    if answer.status == 201:
                        return self._note(key, (await answer.json())["orderId"])
            except (aiohttp.ClientError, TimeoutError):
                self.unanswered += 1
            await asyncio.sleep(0.02)

    def _note(self, key: str, order_id: str) -> None:
        if self.acknowledged.setdefault(key, order_id) != order_id:
            self.contradictions.append(key)


async def kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def write(client: aiohttp.ClientSession, ledger: Ledger, writer: int) -> None:
    """Places one order after the other, until cancelled."""
    number = 0
    while True:
        await ledger.place(client, f"writer-{writer}-{number}")
        number += 1


async def kill_under_load(service: Service, ledger: Ledger, sandbox: Sandbox, kills: int) -> None:
    """As many lives, each ended by SIGKILL in the middle of requests and of a payment."""

    def in_the_middle(acknowledged: int) -> bool:
        unpaid = any(account.calls and not account.charges for account in sandbox.accounts.values())
        return unpaid and len(ledger.acknowledged) >= acknowledged

    timeout = aiohttp.ClientTimeout(total=10.0, sock_connect=1.0)
    async with aiohttp.ClientSession(service.url, timeout=timeout) as client:
        writers = [asyncio.create_task(write(client, ledger, n)) for n in range(WRITERS)]
        try:
            for _ in range(kills):
                enough = len(ledger.acknowledged) + 5
                async with service.living():
                    await eventually(lambda enough=enough: in_the_middle(enough), within=30.0)
        finally:
            for task in writers:
                task.cancel()
            await asyncio.gather(*writers, return_exceptions=True)


async def orders(service: Service) -> dict[str, dict[str, Any]]:
    """Every order there is, by id."""
    found: dict[str, dict[str, Any]] = {}
    async with aiohttp.ClientSession(service.url) as client:
        cursor = ""
        while cursor is not None:
            async with client.get(f"/orders?limit=100&cursor={cursor}") as answer:
                page = await answer.json()
            found |= {order["orderId"]: order for order in page["orders"]}
            cursor = page["nextCursor"]
    return found


def nobody_is(service: Service, *statuses: str) -> Callable[[], Awaitable[bool]]:
    """Whether the service answers, and says that no order stands so."""

    async def so() -> bool:
        try:
            async with aiohttp.ClientSession(service.url) as client:
                for status in statuses:
                    async with client.get(f"/orders?limit=1&status={status}") as answer:
                        if (await answer.json())["orders"]:
                            return False
        except aiohttp.ClientError:
            return False
        return True

    return so


OPEN = ("pending", "processing")


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(latency=0.05)
    async with serving(sandbox) as session:
        yield sandbox, str(session._base_url)


@pytest.fixture
def service(tmp_path: Path, provider: tuple[Sandbox, str], redis_url: str) -> Service:
    return Service(tmp_path, {"ORDER_PAYMENT_URL": provider[1], "CORTEX_REDIS_URL": redis_url})


@pytest.mark.timeout(300)  # twenty starts of Python, beside whatever else the machine does
async def test_twenty_kills_under_load_lose_no_acknowledged_order_and_charge_nobody_twice(
    service: Service, provider: tuple[Sandbox, str]
) -> None:
    sandbox, ledger = provider[0], Ledger()

    await kill_under_load(service, ledger, sandbox, KILLS)
    async with service.living():
        await eventually(nobody_is(service, *OPEN), within=60.0)
        found = await orders(service)

    assert {order["status"] for order in found.values()} == {"completed"}
    assert ledger.unanswered >= KILLS, "no request was interrupted"
    assert sum(account.calls > 1 for account in sandbox.accounts.values()) >= KILLS / 2, "no payment was interrupted"
    assert set(ledger.acknowledged.values()) <= set(found)
    assert ledger.contradictions == []
    assert len(set(ledger.acknowledged.values())) == len(ledger.acknowledged)
    assert {order_id: len(account.charges) for order_id, account in sandbox.accounts.items()} == dict.fromkeys(found, 1)


@pytest.mark.timeout(300)
async def test_an_end_with_a_thousand_orders_in_hand_loses_none(
    service: Service, provider: tuple[Sandbox, str]
) -> None:
    sandbox, ledger = provider[0], Ledger()
    sandbox.sleep = gate = Gate()
    gate.shut()  # nothing is paid before the end
    async with service.living() as process, aiohttp.ClientSession(service.url) as client:
        await eventually(nobody_is(service), within=30.0)
        await asyncio.gather(*(ledger.place(client, f"order-{n}") for n in range(1000)))

        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(process.wait(), 60.0)

    assert ended == 0
    gate.open()
    interrupted = len(sandbox.accounts)
    async with service.living():
        await eventually(nobody_is(service, *OPEN), within=60.0)
        found = await orders(service)

    assert {order["status"] for order in found.values()} == {"completed"}
    assert 0 < interrupted < 1000
    assert set(found) == set(ledger.acknowledged.values())
    assert all(len(account.charges) == 1 for account in sandbox.accounts.values())


async def test_a_provider_that_is_gone_for_seconds_costs_no_order(service: Service, tmp_path: Path) -> None:
    port, ledger = free_port(), Ledger()
    service.environment["ORDER_PAYMENT_URL"] = f"http://127.0.0.1:{port}"
    service.environment["ORDER_PAYMENT_RESET"] = "1.0"
    async with service.living(), aiohttp.ClientSession(service.url) as client:
        first = await start_sandbox(port, tmp_path)
        await ledger.place(client, "before")
        await eventually(nobody_is(service, *OPEN), within=30.0)
        await kill(first)
        await asyncio.gather(*(ledger.place(client, f"order-{n}") for n in range(50)))
        await eventually(nobody_is(service, "pending"), within=30.0)
        await eventually(lambda: is_open(client))

        second = await start_sandbox(port, tmp_path)
        try:
            await eventually(nobody_is(service, *OPEN), within=30.0)
        finally:
            await kill(second)
        assert Counter(order["status"] for order in (await orders(service)).values()) == {"completed": 51}


async def is_open(client: aiohttp.ClientSession) -> bool:
    """The circuit in front of the provider: 0 closed, 1 half-open, 2 open."""
    async with client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (state,) = (line for line in lines if line.startswith('cortex_circuit_breaker_state{name="payments"}'))
    return float(state.split()[-1]) == 2


async def start_sandbox(port: int, folder: Path) -> asyncio.subprocess.Process:
    environment = {**os.environ, "CORTEX_ENV": "test"}
    with (folder / "sandbox.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cortex_order.sandbox", "--port", str(port), "--latency", "0"),
            env=environment,
            stdout=log,
            stderr=log,
        )

    async def ready() -> bool:
        assert process.returncode is None
        try:
            async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await eventually(ready, within=20.0)
    return process
