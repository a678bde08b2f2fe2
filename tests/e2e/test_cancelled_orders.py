"""An order called off through the gateway: who counts it and who watches it hear of that, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from cortex_core.testing import eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

ORDER = {
    "customerId": "cus_e2e",
    "currency": "EUR",
    "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
    "paymentToken": "tok_random",
}

pytestmark = [pytest.mark.hub, pytest.mark.timeout(240)]


@pytest.fixture
async def client(shared_hub: "RealHub") -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the gateway, as browsers are: it takes compressed answers."""
    async with aiohttp.ClientSession(shared_hub.url("gateway"), headers={"Accept-Encoding": "gzip"}) as session:
        yield session


@pytest.fixture
async def no_payments(shared_hub: "RealHub") -> AsyncIterator[None]:
    """The provider fails every `tok_random`: an order stays in payment for a minute."""
    settings = f"{shared_hub.row('payments')['url']}/settings"
    async with aiohttp.ClientSession() as session:
        async with session.put(settings, json={"failureRate": 1}) as answer:
            assert answer.status == 200
        yield
        async with session.put(settings, json={"failureRate": 0.1}) as answer:
            assert answer.status == 200


async def test_an_order_called_off_is_counted_and_heard(
    shared_hub: "RealHub", client: aiohttp.ClientSession, no_payments: None
) -> None:
    before = await figures(client)
    async with client.ws_connect("/ws") as socket:
        order_id, headers = await placed(client, "e2e-cancelled")
        again, replayed = await placed(client, "e2e-cancelled")
        tag = await eventually(lambda: tag_of(client, order_id, "processing"))
        await eventually(lambda: counted(client, before, created=1, active=1))

        stale = await cancel(client, order_id, '"v1"')
        done = await cancel(client, order_id, tag)
        frames = await heard(socket, order_id)

        await eventually(lambda: counted(client, before, created=1, cancelled=1))

    assert (again, headers["ETag"], replayed["Idempotency-Replayed"]) == (order_id, '"v1"', "true")
    assert (stale[0], stale[1]["code"]) == (412, "order.stale-version")
    assert (done[0], done[1]["status"], done[1]["version"]) == (200, "cancelled", 3)
    assert [frame["type"] for frame in frames] == [
        "order.created",
        "order.state.changed",
        "order.state.changed",
        "order.cancelled",
    ]
    assert frames[2]["data"] == {"orderId": order_id, "state": "cancelled", "previous": "processing"}
    assert frames[3]["data"]["processingTime"] > 0
    assert await told(client, order_id) == ["order.created", "order.processing.started", "order.cancelled"]


async def placed(client: aiohttp.ClientSession, key: str) -> tuple[str, Any]:
    async with client.post("/api/orders", json=ORDER, headers={"Idempotency-Key": key}) as answer:
        body = await answer.json()
        assert answer.status == 201, body
        return body["orderId"], answer.headers


async def tag_of(client: aiohttp.ClientSession, order_id: str, status: str) -> str | None:
    async with client.get(f"/api/orders/{order_id}") as answer:
        return answer.headers["ETag"] if (await answer.json())["status"] == status else None


async def cancel(client: aiohttp.ClientSession, order_id: str, tag: str) -> tuple[int, Any]:
    async with client.post(f"/api/orders/{order_id}/cancel", headers={"If-Match": tag}) as answer:
        return answer.status, await answer.json()


async def told(client: aiohttp.ClientSession, order_id: str) -> list[str]:
    async with client.get(f"/api/orders/{order_id}/events") as answer:
        return [event["type"] for event in (await answer.json())["events"]]


async def figures(client: aiohttp.ClientSession) -> dict[str, int]:
    async with client.get("/api/analytics/metrics") as answer:
        body = await answer.json()
        return {**body["orders"], "active": body["activeOrders"]}


async def counted(client: aiohttp.ClientSession, before: dict[str, int], **more: int) -> bool:
    now = await figures(client)
    return {name: now[name] - before[name] for name in now} == {**dict.fromkeys(now, 0), **more}


async def heard(socket: aiohttp.ClientWebSocketResponse, order_id: str) -> list[dict[str, Any]]:
    """The frames about the order, up to its end."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not frames or frames[-1]["type"] != "order.cancelled":
            frame = await socket.receive_json()
            frames += [frame] if frame.get("data", {}).get("orderId") == order_id else []
    return frames
