"""The service as it runs in production, on a real PostgreSQL that goes away and comes back."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from sqlalchemy.engine import make_url

from cortex_core.testing import Issuer, PostgresServer, eventually, free_port, serving
from cortex_order.sandbox import Sandbox
from cortex_order.settings import Settings

BODY = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_ok",
}


@pytest.fixture
async def environment(postgres_url: str, redis_url: str, issuer: Issuer) -> AsyncIterator[dict[str, str]]:
    async with serving(Sandbox(latency=0.0)) as provider:
        yield {
            **os.environ,
            "CORTEX_ENV": "production",
            "CORTEX_REDIS_URL": redis_url,
            **issuer.environment(),
            "ORDER_PORT": str(free_port()),
            "ORDER_DATABASE_URL": postgres_url,
            "ORDER_PAYMENT_URL": str(provider._base_url),
            "ORDER_PAYMENT_TIMEOUT": "30",
        }


async def command(environment: dict[str, str], *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cortex_order.main",
        *words,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode()


@asynccontextmanager
async def running(
    environment: dict[str, str], headers: dict[str, str], *, until_ready: bool = True
) -> AsyncIterator[aiohttp.ClientSession]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cortex_order.main", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{environment['ORDER_PORT']}", headers=headers) as client:
            if until_ready:
                await eventually(lambda: ready(client), within=30)
            yield client
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def ready(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def waits_for(client: aiohttp.ClientSession, words: str) -> bool:
    try:
        async with client.get("/health/ready") as answer:
            return answer.status == 503 and words in (await answer.json())["checks"]["start"]["error"]
    except aiohttp.ClientConnectionError:
        return False


async def place(client: aiohttp.ClientSession) -> tuple[int, dict[str, str]]:
    async with client.post("/orders", json=BODY) as answer:
        return answer.status, await answer.json()


async def completed(client: aiohttp.ClientSession, order_id: str) -> bool:
    async with client.get(f"/orders/{order_id}") as answer:
        return answer.status == 200 and (await answer.json())["status"] == "completed"


async def test_orders_are_placed_paid_and_kept_over_an_outage_of_the_database(
    environment: dict[str, str], postgres_server: PostgresServer, issuer: Issuer
) -> None:
    assert (await command(environment, "db", "upgrade"))[0] == 0

    async with running(environment, issuer.headers(scope="orders:read orders:write")) as client:
        status, before = await place(client)
        assert status == 201, before
        await eventually(lambda: completed(client, before["orderId"]), within=20)

        await asyncio.to_thread(postgres_server.stop, kill=True)
        status, problem = await place(client)
        assert (status, problem["code"]) == (503, "event-store.unavailable")
        assert not await ready(client)
        await asyncio.to_thread(postgres_server.start)

        await eventually(lambda: ready(client), within=20)
        status, after = await place(client)
        assert status == 201, after
        for order_id in (before["orderId"], after["orderId"]):
            await eventually(lambda order_id=order_id: completed(client, order_id), within=20)


async def test_a_database_without_its_tables_is_waited_for(environment: dict[str, str], issuer: Issuer) -> None:
    headers = issuer.headers(scope="orders:read orders:write")
    async with running(environment, headers, until_ready=False) as client:
        await eventually(lambda: waits_for(client, "run `cortex db upgrade`"), within=30)
        assert (await place(client))[1]["code"] == "service.starting"

        only = {name: environment[name] for name in ("PATH", "CORTEX_ENV", "ORDER_DATABASE_URL")}
        assert (await command(only, "db", "upgrade"))[0] == 0

        await eventually(lambda: ready(client), within=20)
        assert (await place(client))[0] == 201


async def test_a_database_that_is_away_at_the_start_is_waited_for(
    environment: dict[str, str], postgres_server: PostgresServer, issuer: Issuer
) -> None:
    assert (await command(environment, "db", "upgrade"))[0] == 0
    await asyncio.to_thread(postgres_server.stop)
    try:
        async with running(environment, issuer.headers(scope="orders:read"), until_ready=False) as client:
            await eventually(lambda: waits_for(client, "the database cannot be reached"), within=30)
            await asyncio.to_thread(postgres_server.start)

            await eventually(lambda: ready(client), within=20)
    finally:
        await asyncio.to_thread(postgres_server.start)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"password": "canary"}, "does not let us in"), ({"database": "elsewhere"}, "there is no such database")],
)
async def test_a_database_that_refuses_us_is_one_line_that_names_the_variable(
    environment: dict[str, str], changes: dict[str, str], words: str
) -> None:
    """What is wrong in our own settings is no reason to wait: whoever mends it starts us again."""
    url = make_url(environment["ORDER_DATABASE_URL"]).set(**changes).render_as_string(hide_password=False)

    status, said = await command({**environment, "ORDER_DATABASE_URL": url})

    assert (status, len(said.splitlines())) == (69, 1), said
    assert said.startswith("order: ORDER_DATABASE_URL: ")
    assert words in said
    assert "canary" not in said


async def test_a_database_out_of_reach_is_one_line_without_its_password(environment: dict[str, str]) -> None:
    url = f"postgresql+asyncpg://order:canary@127.0.0.1:{free_port()}/orders"

    status, words = await command({**environment, "ORDER_DATABASE_URL": url}, "db", "upgrade", "--wait", "0")

    assert (status, len(words.splitlines())) == (69, 1)
    assert words.startswith("order: ORDER_DATABASE_URL: the database cannot be reached")
    assert "canary" not in words


def test_settings_do_not_show_the_databases_password(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(env="test", database_url="postgresql+asyncpg://order:canary@db/orders")

    assert "canary" not in f"{settings!r} {settings}"
