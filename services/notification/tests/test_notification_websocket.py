"""The whole service with real WebSocket clients."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from cortex_contracts import CATALOG
from cortex_core.events import CloudEvent
from cortex_core.testing import eventually


async def test_a_client_is_welcomed(service: Any) -> None:
    async with service.client() as client:
        assert client.welcome["type"] == "welcome"
        assert client.welcome["clientId"].startswith("client_")
        assert client.welcome["timestamp"].endswith("Z")


async def test_two_clients_are_two(service: Any) -> None:
    async with service.client() as one, service.client() as other:
        assert one.welcome["clientId"] != other.welcome["clientId"]


async def test_an_event_reaches_everybody_as_it_was_said(service: Any, completed: Any) -> None:
    event = completed("ord_7")
    async with service.client() as one, service.client() as other:
        await service.publish(event)

        frames = [await one.frame(), await other.frame()]

    assert frames[0] == frames[1]
    assert frames[0] == {
        "type": "order.completed",
        "id": event.id,
        "time": event.to_dict()["time"],
        "data": {
            "orderId": "ord_7",
            "customerId": "cus_1",
            "total": 2500,
            "currency": "EUR",
            "processingTime": 0.5,
        },
    }


EVENTS: dict[str, dict[str, Any]] = {
    "order.created": {
        "orderId": "o",
        "customerId": "c",
        "total": 1,
        "currency": "EUR",
        "createdAt": "2026-11-23T12:00:00Z",
    },
    "order.state.changed": {"orderId": "o", "state": "processing", "previous": "pending"},
    "order.completed": {"orderId": "o", "customerId": "c", "total": 1, "currency": "EUR", "processingTime": 1.5},
    "order.failed": {"orderId": "o", "customerId": "c", "reason": "declined", "processingTime": 1.5},
    "order.cancelled": {"orderId": "o", "customerId": "c", "processingTime": 1.5},
    "file.stored": {"cid": "bafkqaaa", "size": 0},
    "image.processed": {"operation": "grayscale", "format": "png", "width": 1, "height": 1, "duration": 0.5},
}


AMONG_SERVICES = {"key.revoked", "key.rotated"}


async def test_every_event_of_the_catalogue_that_is_not_for_services_alone_reaches_a_client(service: Any) -> None:
    async with service.client() as client:
        for name in CATALOG.keys() - AMONG_SERVICES:
            await service.publish(CloudEvent(name, "test", "subject", EVENTS[name]))
        heard = {(frame := await client.frame())["type"]: frame["data"] for _ in EVENTS}

    assert heard == EVENTS


async def test_events_of_a_topic_come_in_order(service: Any, completed: Any) -> None:
    async with service.client() as client:
        await service.publish(*(completed(f"ord_{number}") for number in range(100)))

        assert [(await client.frame())["data"]["orderId"] for _ in range(100)] == [f"ord_{n}" for n in range(100)]


async def test_a_client_hears_its_tenant_and_no_other(serve: Any, completed: Any) -> None:
    async with (
        serve(tenants=frozenset({"acme", "public"})) as service,
        service.client(headers={"X-Cortex-Tenant": "acme"}) as acme,
        service.client() as public,
    ):
        await service.publish(
            completed("ord_acme", tenant="acme"), completed("ord_public"), completed("ord_last", tenant="acme")
        )

        assert (await acme.frame())["data"]["orderId"] == "ord_acme"
        assert (await acme.frame())["data"]["orderId"] == "ord_last"
        assert (await public.frame())["data"]["orderId"] == "ord_public"


async def test_an_event_nobody_can_read_stops_nothing(service: Any, completed: Any) -> None:
    async with service.client() as client:
        await service.publish(CloudEvent("order.completed", "test", "ord_0", {"orderId": 1}), completed("ord_1"))

        assert (await client.frame())["data"]["orderId"] == "ord_1"


async def test_ping_is_answered_and_mistakes_are_told(service: Any) -> None:
    async with service.client() as client:
        await client.socket.send_json({"type": "ping"})
        await client.socket.send_str("not JSON")
        await client.socket.send_json({"type": "dance"})
        await client.socket.send_json({"type": "ping"})

        frames = [await client.frame() for _ in range(4)]

    assert [frame["type"] for frame in frames] == ["pong", "error", "error", "pong"]
    assert [frame["code"] for frame in frames[1:3]] == ["message.malformed", "message.unknown-type"]


async def test_binary_is_refused(service: Any) -> None:
    async with service.client() as client:
        await client.socket.send_bytes(b"\x00")

        assert await client.close_code() == 1003


async def test_a_large_message_is_refused(serve: Any) -> None:
    async with serve(message_limit=100) as service, service.client() as client:
        await client.socket.send_str("x" * 101)

        assert await client.close_code() == 1009


async def test_chatter_is_refused(serve: Any) -> None:
    async with serve(message_burst=5, message_rate=0.1) as service, service.client() as client:
        for _ in range(6):
            await client.socket.send_json({"type": "ping"})

        assert await client.close_code() == 1008


async def test_a_full_house_says_so_before_the_handshake(serve: Any) -> None:
    async with serve(connections=1) as service, service.client():
        with pytest.raises(WSServerHandshakeError) as caught:
            async with service.client():
                pass
        assert caught.value.status == 503
        assert caught.value.headers is not None
        assert int(caught.value.headers["Retry-After"]) >= 1


async def test_who_leaves_makes_room(serve: Any) -> None:
    async with serve(connections=1) as service:
        async with service.client():
            assert await service.connected() == 1

        async def nobody() -> bool:
            return bool(await service.connected() == 0)

        await eventually(nobody)
        async with service.client() as client:
            assert client.welcome["type"] == "welcome"
        await eventually(nobody)
        assert await service.metric('cortex_hub_websocket_closed_total{code="left"}') == 2


async def test_a_page_from_elsewhere_is_refused(service: Any) -> None:
    with pytest.raises(WSServerHandshakeError) as caught:
        async with service.client(headers={"Origin": "https://evil.example"}):
            pass

    assert caught.value.status == 403
    assert await service.connected() == 0


async def test_pages_of_this_host_and_of_the_gateways_may_connect(service: Any) -> None:
    own = f"http://{service.http._base_url.authority}"
    async with service.client(headers={"Origin": own}) as client:
        assert client.welcome["type"] == "welcome"

    forwarded = {"Origin": "https://hub.example", "X-Forwarded-Host": "hub.example"}
    async with service.client(headers=forwarded) as client:
        assert client.welcome["type"] == "welcome"


async def test_pages_that_are_listed_may_connect(serve: Any) -> None:
    page = {"Origin": "https://shop.example"}
    async with serve(origins="https://shop.example") as service, service.client(headers=page) as client:
        assert client.welcome["type"] == "welcome"


async def test_http_is_told_to_upgrade(service: Any) -> None:
    answer = await service.http.get("/ws")

    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["code"] == "http.426"


async def test_the_document_says_how_it_answers(service: Any) -> None:
    document = await (await service.http.get("/openapi.json")).json()

    refusal = document["paths"]["/ws"]["get"]["responses"]["426"]
    assert refusal["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "`http.426`" in refusal["description"]


async def test_the_end_of_the_service_is_told_to_everybody(serve: Any) -> None:
    async with ClientSession() as http:
        async with serve() as service:
            socket = await http.ws_connect(service.http._base_url / "ws")
            await socket.receive_json(timeout=20)
            ending = asyncio.create_task(socket.receive(timeout=20))
        await ending

    assert socket.close_code in {1001, 1012}  # going away, or service restart: to a client both mean `connect again`


async def test_a_client_that_comes_and_goes_at_any_moment_leaves_nothing(service: Any, completed: Any) -> None:
    async def visit(stay: int) -> None:
        socket = await service.http.ws_connect("/ws")
        for _ in range(stay):
            await socket.receive(timeout=20)
        if socket._response.connection is not None:
            socket._response.connection.transport.abort()  # as a cable pulled, not a farewell

    async def speak() -> None:
        for number in range(100):
            await service.publish(completed(f"ord_{number}"))
            await asyncio.sleep(0)

    await asyncio.gather(speak(), *(visit(stay % 4 + 1) for stay in range(20)))

    async def nobody() -> bool:
        return bool(await service.connected() == 0)

    await service.publish(completed("ord_last"))
    await eventually(nobody)
