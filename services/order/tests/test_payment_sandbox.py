"""The sandbox provider, over real HTTP: every token, idempotency, voiding, and its own refusals."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from cortex_core.testing import eventually, free_port, serving
from cortex_order.sandbox import Sandbox

ORDER = "ord_" + "0" * 32


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(latency=0.0, rng=random.Random(7))


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(sandbox) as session:
        yield session


async def charge(
    client: aiohttp.ClientSession, token: str, *, order: str = ORDER, key: str | None = None, **changes: Any
) -> tuple[int, dict[str, Any]]:
    body = {"orderId": order, "amount": 2500, "currency": "EUR", "paymentToken": token, **changes}
    headers = {"Idempotency-Key": order if key is None else key}
    async with client.post("/charges", json=body, headers={k: v for k, v in headers.items() if v}) as answer:
        return answer.status, await answer.json()


async def charges_of(client: aiohttp.ClientSession, order: str = ORDER) -> dict[str, Any]:
    async with client.get(f"/charges/{order}") as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def test_tok_ok_is_charged_once_however_often_it_is_asked(client: aiohttp.ClientSession) -> None:
    first = await charge(client, "tok_ok")
    again = await charge(client, "tok_ok")

    assert (first[0], again[0]) == (201, 200)
    assert first[1]["chargeId"] == again[1]["chargeId"]
    account = await charges_of(client)
    assert (len(account["charges"]), account["calls"]) == (1, 2)


async def test_two_calls_at_once_are_one_charge(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    sandbox.latency = 0.02

    answers = await asyncio.gather(*(charge(client, "tok_ok") for _ in range(10)))

    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    assert len((await charges_of(client))["charges"]) == 1


async def test_two_keys_are_two_charges_and_it_says_so(client: aiohttp.ClientSession) -> None:
    await charge(client, "tok_ok", key="one")
    await charge(client, "tok_ok", key="two")

    assert len((await charges_of(client))["charges"]) == 2


async def test_a_key_is_good_for_one_charge_only(client: aiohttp.ClientSession) -> None:
    await charge(client, "tok_ok")

    status, problem = await charge(client, "tok_ok", amount=2501)

    assert (status, problem["code"]) == (422, "idempotency_mismatch")


async def test_tok_declined_is_declined(client: aiohttp.ClientSession) -> None:
    status, problem = await charge(client, "tok_declined")

    assert (status, problem["code"]) == (402, "card_declined")
    assert (await charges_of(client))["charges"] == []


async def test_tok_flaky_fails_twice_an_order_then_is_charged(client: aiohttp.ClientSession) -> None:
    other = ORDER[:-1] + "1"

    statuses = [(await charge(client, "tok_flaky"))[0] for _ in range(4)]
    fresh = (await charge(client, "tok_flaky", order=other))[0]

    assert statuses == [503, 503, 201, 200]
    assert fresh == 503


async def test_tok_timeout_never_gets_an_answer(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    asking = asyncio.create_task(charge(client, "tok_timeout"))
    await eventually(lambda: ORDER in sandbox.accounts)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.2)

    assert (await charges_of(client))["charges"] == []


async def test_tok_random_fails_as_often_as_it_is_set_to(client: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    sandbox.failure_rate = 0.1
    statuses = [(await charge(client, "tok_random", order=f"order-{n}"))[0] for n in range(100)]

    assert 3 <= statuses.count(503) <= 20
    assert statuses.count(201) == 100 - statuses.count(503)


async def test_an_unknown_token_is_refused(client: aiohttp.ClientSession) -> None:
    status, problem = await charge(client, "tok_nobody")

    assert (status, problem["code"]) == (422, "token_unknown")


async def test_what_is_voided_stays_uncharged(client: aiohttp.ClientSession) -> None:
    await charge(client, "tok_ok")
    late = ORDER[:-1] + "2"

    for order in (ORDER, ORDER, late):
        async with client.post(f"/charges/{order}/void") as answer:
            assert answer.status == 200

    assert [each["status"] for each in (await charges_of(client))["charges"]] == ["voided"]
    assert (await charge(client, "tok_ok", order=late))[0] == 402


async def test_a_charge_on_its_way_when_the_order_is_voided_is_not_made(
    client: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    sandbox.latency = 0.1
    under_way = asyncio.create_task(charge(client, "tok_ok"))
    await eventually(lambda: ORDER in sandbox.accounts)

    await (await client.post(f"/charges/{ORDER}/void")).release()

    assert (await under_way)[0] == 402


async def test_settings_change_live_and_nonsense_changes_nothing(
    client: aiohttp.ClientSession, sandbox: Sandbox
) -> None:
    async with client.put("/settings", json={"latency": 0.5, "failureRate": 1}) as answer:
        assert await answer.json() == {"latency": 0.5, "failureRate": 1.0}
    nonsense: list[Any] = [{"latency": -1}, {"failureRate": 2}, {"latency": True}, {"latency": 0, "other": 1}, []]
    for each in nonsense:
        async with client.put("/settings", json=each) as answer:
            assert answer.status == 422

    assert (sandbox.latency, sandbox.failure_rate) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"orderId": ""}, "order_id_invalid"),
        ({"amount": 0}, "amount_invalid"),
        ({"amount": True}, "amount_invalid"),
        ({"amount": "5"}, "amount_invalid"),
        ({"currency": "EURO"}, "currency_invalid"),
        ({"paymentToken": 5}, "token_unknown"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused(
    client: aiohttp.ClientSession, changes: dict[str, Any], code: str
) -> None:
    status, problem = await charge(client, "tok_ok", **changes)

    assert (status, problem["code"]) == (422, code)


async def test_no_key_no_json_too_much_and_no_such_place_are_refused(client: aiohttp.ClientSession) -> None:
    assert (await charge(client, "tok_ok", key=""))[0] == 400
    for body, status in ((b"{", 400), (b"[1]", 422), (b"x" * 70_000, 413)):
        async with client.post("/charges", data=body) as answer:
            assert answer.status == status
    async with client.get("/nowhere") as answer:
        assert answer.status == 404
    async with client.get(f"/charges/{ORDER}") as answer:
        assert answer.status == 404


async def test_its_memory_is_bounded(
    client: aiohttp.ClientSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cortex_order.sandbox.app.MAX_ORDERS", 3)

    for n in range(5):
        await charge(client, "tok_ok", order=f"order-{n}")

    assert list(sandbox.accounts) == ["order-2", "order-3", "order-4"]


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CORTEX_", "SANDBOX_"))}
    return subprocess.run(
        [sys.executable, "-m", "cortex_order.sandbox", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("environment", [{}, {"CORTEX_ENV": "production"}, {"CORTEX_ENV": "prod"}])
def test_it_refuses_to_start_anywhere_but_in_development(environment: dict[str, str]) -> None:
    ended = run("--port", "0", **environment)

    assert ended.returncode == 78
    assert "only with CORTEX_ENV=development" in ended.stderr


@pytest.mark.parametrize("environment", [{"SANDBOX_LATENCY": "soon"}, {"SANDBOX_FAILURE_RATE": "1.5"}])
def test_it_refuses_settings_that_make_no_sense(environment: dict[str, str]) -> None:
    ended = run(CORTEX_ENV="development", **environment)

    assert ended.returncode == 2
    assert "invalid" in ended.stderr


async def test_it_starts_by_its_module_and_is_ready() -> None:
    port = free_port()
    environment = {**os.environ, "CORTEX_ENV": "development", "SANDBOX_PORT": str(port), "SANDBOX_LATENCY": "0.25"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "cortex_order.sandbox", env=environment)

    async def ready() -> bool:
        try:
            async with session.get("/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await eventually(ready, within=20)
            async with session.get("/settings") as answer:
                assert await answer.json() == {"latency": 0.25, "failureRate": 0.1}
    finally:
        process.terminate()
        status = await process.wait()
    assert status == 0  # what was told to end and has ended is no failure: in a container too
