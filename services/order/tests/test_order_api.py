"""The service over HTTP: what it answers, and that wrong input leaves nothing half-done."""

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.testing import FakeClock, eventually

GOOD: dict[str, Any] = {
    "customerId": "cus_1",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_canary",
}
NOBODY = "ord_" + "0" * 32


async def post(client: aiohttp.ClientSession, body: Any) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post("/orders", data=io.BytesIO(data), headers={"Content-Type": "application/json"}) as answer:
        return answer.status, await answer.json(), answer


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def place(client: aiohttp.ClientSession) -> str:
    status, order, _ = await post(client, GOOD)
    assert status == 201
    return str(order["orderId"])


async def settled(client: aiohttp.ClientSession, order_id: str) -> dict[str, Any]:
    async def final() -> dict[str, Any]:
        _, order = await get(client, f"/orders/{order_id}")
        assert order["status"] in {"completed", "failed"}
        return order

    return await eventually(final)


async def test_a_placed_order_is_answered_with_its_place_and_its_total(
    client: aiohttp.ClientSession, clock: FakeClock
) -> None:
    status, order, answer = await post(client, GOOD)

    assert status == 201
    assert answer.headers["Location"] == f"orders/{order['orderId']}"
    assert order == {
        "orderId": order["orderId"],
        "status": "pending",
        "total": 2500,
        "currency": "EUR",
        "version": 1,
        "createdAt": "2026-11-23T12:00:00.000000Z",
    }


async def test_an_order_is_shown_as_it_stands(client: aiohttp.ClientSession) -> None:
    order_id = await place(client)

    order = await settled(client, order_id)

    assert order == {
        "orderId": order_id,
        "customerId": "cus_1",
        "status": "completed",
        "total": 2500,
        "currency": "EUR",
        "version": 3,
        "createdAt": "2026-11-23T12:00:00.000000Z",
    }


async def test_it_is_durable_before_its_payment_is_taken(client: aiohttp.ClientSession, payments: Any) -> None:
    payments.gate = asyncio.Event()

    order_id = await place(client)

    assert (await get(client, f"/orders/{order_id}"))[1]["status"] in {"pending", "processing"}
    payments.gate.set()
    assert (await settled(client, order_id))["status"] == "completed"


@pytest.mark.parametrize("order_id", [NOBODY, "ord_1", "nonsense", "ord_" + "Z" * 32, "%01", "a" * 500])
async def test_an_order_that_is_not_there_is_not_found(client: aiohttp.ClientSession, order_id: str) -> None:
    status, problem = await get(client, f"/orders/{order_id}")

    assert (status, problem["code"]) == (404, "order.not-found")


def wrong(code: str, **changes: Any) -> Any:
    return pytest.param({**GOOD, **changes}, code, id=f"{code} {str(changes)[:50]}")


def item(**changes: Any) -> list[dict[str, Any]]:
    return [{**GOOD["items"][0], **changes}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        wrong("order.empty", items=[]),
        wrong("order.too-many-items", items=item() * 101),
        wrong("order.too-many-items", items=item() * 10_000),
        wrong("order.invalid-quantity", items=item(quantity=-1)),
        wrong("order.invalid-quantity", items=item(quantity=0)),
        wrong("order.invalid-quantity", items=item(quantity=10**30)),
        wrong("order.invalid-price", items=item(unitPrice=-1)),
        wrong("order.invalid-price", items=item(unitPrice=10**12 + 1)),
        wrong("order.invalid-sku", items=item(sku="a b")),
        wrong("order.total-out-of-bounds", items=item(quantity=1000, unitPrice=10**12)),
        wrong("order.total-out-of-bounds", items=item(unitPrice=0)),
        wrong("order.unknown-currency", currency="XYZ"),
        wrong("order.unknown-currency", currency="eur"),
        wrong("order.invalid-customer", customerId="cus 1"),
        wrong("order.invalid-customer", customerId="\ud800"),
        wrong("order.invalid-payment-token", paymentToken="4111111111111111"),
        wrong("request.invalid", surprise=1),
        wrong("request.invalid", items=item(surprise=1)),
        wrong("request.invalid", items=item(quantity="2")),
        wrong("request.invalid", items=item(quantity=True)),
        wrong("request.invalid", items=item(quantity=2.0)),
        wrong("request.invalid", items=item(unitPrice=None)),
        wrong("request.invalid", items={}),
        wrong("request.invalid", items=["book"]),
        wrong("request.invalid", customerId=5),
        wrong("request.invalid", currency=None),
        wrong("request.invalid", paymentToken=["tok_ok"]),
        pytest.param({}, "request.invalid", id="nothing"),
        pytest.param([GOOD], "request.invalid", id="a list"),
        pytest.param("order", "request.invalid", id="a string"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name_and_leaves_nothing(
    client: aiohttp.ClientSession, payments: Any, body: Any, code: str
) -> None:
    status, problem, answer = await post(client, body)

    assert (status, problem["code"], problem["status"]) == (422, code, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["traceId"]
    assert (await get(client, "/orders"))[1]["orders"] == []
    assert payments.calls == 0


async def test_a_refusal_says_which_item_it_is_about(client: aiohttp.ClientSession) -> None:
    _, problem, _ = await post(client, {**GOOD, "items": [*GOOD["items"], *item(quantity=0)]})

    assert problem["pointer"] == "#/items/1"


@pytest.mark.parametrize("body", [b"", b"{", b"{'a':1}", b"\xff\xfe", b'{"a":' * 100_000, b"1" * 5000])
async def test_what_is_not_json_is_refused(client: aiohttp.ClientSession, body: bytes) -> None:
    status, problem, _ = await post(client, body)

    assert status in {400, 422}
    assert problem["code"].startswith("request.")


async def test_bad_json_is_400_and_a_body_too_large_413(client: aiohttp.ClientSession) -> None:
    bad, large = await post(client, b'{"customerId": '), await post(client, b" " * 3_000_000)

    assert (bad[0], bad[1]["code"]) == (400, "request.malformed-json")
    assert (large[0], large[1]["code"]) == (413, "request.too-large")


async def test_the_payment_token_is_in_no_answer_no_event_and_no_log(
    client: aiohttp.ClientSession, bus: MemoryEventBus, capsys: pytest.CaptureFixture[str], caplog: Any
) -> None:
    heard: list[bytes] = []

    async def hear(event: Any) -> None:
        heard.append(event.to_json())

    await bus.consume("test", ["order"], hear)
    status, order, answer = await post(client, GOOD)
    shown = [str(order), str(answer.headers), str(await settled(client, order["orderId"]))]
    _, refused, _ = await post(client, {**GOOD, "paymentToken": "tok_canary!"})
    _, mistyped, _ = await post(client, {**GOOD, "paymentToken": ["tok_canary"]})
    await eventually(lambda: len(heard) == 4)

    out, err = capsys.readouterr()
    everything = [*shown, str(refused), str(mistyped), *map(str, heard), out, err, caplog.text]
    assert status == 201
    assert "/orders" in out  # the log is where we looked
    assert not any("canary" in each for each in everything)


async def test_the_list_is_newest_first_and_goes_on_where_it_stopped(client: aiohttp.ClientSession) -> None:
    ids = [await place(client) for _ in range(5)]

    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        status, page = await get(client, f"/orders?limit=2&cursor={cursor}")
        assert status == 200
        seen += [order["orderId"] for order in page["orders"]]
        cursor, pages = page["nextCursor"], pages + 1

    assert (seen, pages) == (ids[::-1], 3)


async def test_the_list_by_status_is_as_orders_stand(client: aiohttp.ClientSession) -> None:
    order_id = await place(client)
    await settled(client, order_id)

    _, completed = await get(client, "/orders?status=completed")
    _, pending = await get(client, "/orders?status=pending&limit=&cursor=")

    assert [(order["orderId"], order["version"]) for order in completed["orders"]] == [(order_id, 3)]
    assert pending == {"orders": [], "nextCursor": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=ten", "status=lost", "limit=1e1"])
async def test_a_list_that_there_is_not_is_refused(client: aiohttp.ClientSession, query: str) -> None:
    status, problem = await get(client, f"/orders?{query}")

    assert (status, problem["code"]) == (422, "request.invalid")


async def test_a_cursor_that_was_touched_is_refused_whichever_character_it_was(client: aiohttp.ClientSession) -> None:
    for _ in range(2):
        await place(client)
    cursor = (await get(client, "/orders?limit=1"))[1]["nextCursor"]
    touched = [
        cursor[:place_] + ("A" if cursor[place_] != "A" else "B") + cursor[place_ + 1 :]
        for place_ in range(len(cursor))
    ]

    for each in [*touched, cursor[:-1], cursor + "A", cursor + "=", cursor * 2, "A" * 32, "%F0%9F%92%A5", "1"]:
        status, problem = await get(client, f"/orders?limit=1&cursor={each}")
        assert (status, problem["code"]) == (400, "order.invalid-cursor"), each
    assert (await get(client, f"/orders?limit=1&cursor={cursor}"))[0] == 200


async def test_a_cursor_of_another_list_is_refused(client: aiohttp.ClientSession, payments: Any) -> None:
    payments.gate = asyncio.Event()
    for _ in range(2):
        await place(client)
    cursor = (await get(client, "/orders?limit=1"))[1]["nextCursor"]

    status, problem = await get(client, f"/orders?limit=1&status=pending&cursor={cursor}")

    assert (status, problem["code"]) == (400, "order.invalid-cursor")


async def test_readiness_needs_the_database_and_not_the_bus(client: aiohttp.ClientSession, bus: MemoryEventBus) -> None:
    status, report = await get(client, "/health/ready")
    assert (status, report["checks"]["database"]["status"]) == (200, "up")

    await bus.aclose()

    status, report = await get(client, "/health/ready")
    assert (status, report["status"], report["checks"]["event-bus"]["status"]) == (200, "degraded", "down")
