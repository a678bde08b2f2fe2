"""WebSockets through the gateway: frames both ways, codes, back-pressure, and a service that is not there."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from cortex_core.testing import eventually
from cortex_gateway import wiring
from cortex_gateway.routes import SOCKETS, RouteTable

from .standstill import at_a_standstill


class EchoService:
    """Accepts, echoes, and says what it saw."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.closed: list[tuple[int, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = dict(scope)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close, please":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you wish"})
            elif message.get("text") == "break, please":
                raise RuntimeError("the service breaks")
            else:
                await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        self.closed.append((message["code"], message.get("reason") or ""))


async def test_frames_pass_both_ways_as_they_are(start_gateway: Any) -> None:
    async with start_gateway(notification=EchoService()) as client, client.ws_connect("/ws") as socket:
        for text in ("hello", "", "é" * 10_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text
        await socket.send_bytes(bytes(range(256)))
        assert await socket.receive_bytes() == bytes(range(256))


async def test_a_message_larger_than_its_route_takes_ends_it(
    start_gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_SOCKETS", RouteTable([replace(SOCKETS[0], body_limit=64)]))
    async with start_gateway(notification=EchoService()) as client, client.ws_connect("/ws") as socket:
        await socket.send_bytes(bytes(64))
        assert await socket.receive_bytes() == bytes(64)
        await socket.send_bytes(bytes(65))
        message = await socket.receive()

    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_a_plain_request_is_told_to_upgrade(start_gateway: Any) -> None:
    async with start_gateway() as client, client.get("/ws") as reply:
        assert (reply.status, reply.headers["Upgrade"]) == (426, "websocket")
        assert reply.headers["Connection"] == "Upgrade"  # RFC 9110, section 7.8
        assert (await reply.json())["code"] == "request.upgrade-required"


async def test_the_opening_carries_context_and_not_the_clients_claims(start_gateway: Any) -> None:
    service = EchoService()
    headers = {"X-Request-Id": "req-1", "Cookie": "a=1", "X-Forwarded-For": "10.0.0.1", "X-Cortex-Principal": "admin"}
    async with (
        start_gateway(notification=service) as client,
        client.ws_connect("/ws?lastEventId=1-0", headers=headers, protocols=["v2", "v1"]) as socket,
    ):
        assert socket.protocol == "v2"

    seen = {name.decode(): value.decode() for name, value in service.scope["headers"]}
    assert (service.scope["path"], service.scope["query_string"]) == ("/ws", b"lastEventId=1-0")
    assert (seen["x-request-id"], seen["cookie"], seen["x-forwarded-for"]) == ("req-1", "a=1", "127.0.0.1")
    assert "x-cortex-principal" not in seen
    assert service.scope["subprotocols"] == ["v2", "v1"]


async def test_those_that_are_open_are_a_figure(start_gateway: Any) -> None:
    async def told() -> str:
        async with client.get("/metrics") as reply:
            return next(line for line in (await reply.text()).splitlines() if line.startswith("cortex_gateway_websock"))

    async with start_gateway(notification=EchoService()) as client:
        async with client.ws_connect("/ws") as first, client.ws_connect("/ws") as second:
            for socket in (first, second):
                await socket.send_str("there?")
                await socket.receive_str()
            both = await told()

        async def none_is_open() -> bool:
            return await told() == "cortex_gateway_websockets_open 0.0"

        await eventually(none_is_open)

    assert both == "cortex_gateway_websockets_open 2.0"


async def test_the_services_close_reaches_the_client(start_gateway: Any) -> None:
    async with start_gateway(notification=EchoService()) as client, client.ws_connect("/ws") as socket:
        await socket.send_str("close, please")
        message = await socket.receive()

    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as you wish")


async def test_the_clients_close_reaches_the_service(start_gateway: Any) -> None:
    service = EchoService()
    async with start_gateway(notification=service) as client:
        socket = await client.ws_connect("/ws")
        await socket.close(code=4002, message=b"enough")
        await eventually(lambda: service.closed)

    assert service.closed == [(4002, "enough")]


@pytest.mark.parametrize("code", [1000, None])
async def test_a_client_that_closes_without_a_word_is_a_normal_end(start_gateway: Any, code: int | None) -> None:
    service = EchoService()
    async with start_gateway(notification=service) as client:
        socket = await client.ws_connect("/ws")
        if code is None:
            await socket._writer.send_frame(b"", aiohttp.WSMsgType.CLOSE)  # aiohttp's own close always has a code
        else:
            await socket.close(code=code)
        await eventually(lambda: service.closed)
        await socket.close()

    assert service.closed == [(1000, "")]


async def test_a_client_that_vanishes_closes_the_services_end(start_gateway: Any) -> None:
    service = EchoService()
    async with start_gateway(notification=service) as client:
        socket = await client.ws_connect("/ws")
        socket._response.connection.transport.abort()
        await eventually(lambda: service.closed)

    assert [code for code, _ in service.closed] == [1001]


async def test_a_service_that_breaks_closes_the_clients_end(start_gateway: Any) -> None:
    async with start_gateway(notification=EchoService()) as client, client.ws_connect("/ws") as socket:
        await socket.send_str("break, please")
        message = await socket.receive()

    assert message.type is aiohttp.WSMsgType.CLOSE
    assert message.data == 1014  # its server just hangs up


async def test_a_service_that_vanishes_is_a_bad_gateway(start_gateway: Any) -> None:
    async def accept_and_vanish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        proof = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {proof}\r\n\r\n".encode()
        )
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(accept_and_vanish, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, start_gateway(notification=address) as client, client.ws_connect("/ws") as socket:
        message = await socket.receive()

    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1014)


async def test_a_service_that_is_down_refuses_the_opening_with_a_problem(start_gateway: Any) -> None:
    async with start_gateway() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await client.ws_connect("/ws")
        assert raised.value.status == 503
        assert raised.value.headers is not None
        assert raised.value.headers["Retry-After"] == "1"


async def test_a_service_that_says_no_is_heard(start_gateway: Any) -> None:
    async def no(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    async with start_gateway(notification=no) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await client.ws_connect("/ws")

    assert raised.value.status == 403


@pytest.mark.parametrize(
    ("told", "retry_after", "heard", "passed_on"),
    [
        (400, None, 400, None),
        (401, None, 401, None),
        (403, None, 403, None),
        (404, None, 404, None),
        (429, "7", 429, "7"),
        (429, None, 429, "1"),
        (503, "30", 503, "30"),
        (503, "Fri, 31 Dec 1999 23:59:59 GMT", 503, "1"),
        (503, "9" * 400, 503, "1"),
        (504, None, 504, None),
        (200, None, 503, "1"),
        (500, None, 503, "1"),
    ],
)
async def test_a_refusal_keeps_its_status_and_when_to_come_back(
    start_gateway: Any, told: int, retry_after: str | None, heard: int, passed_on: str | None
) -> None:
    async def full(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"retry-after", retry_after.encode())] if retry_after is not None else []
        await send({"type": "websocket.http.response.start", "status": told, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"the service's own words"})

    opening = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    async with (
        start_gateway(notification=full) as client,
        client.get("/ws", headers=opening) as reply,  # by hand: aiohttp's WebSocket would not show the body
    ):
        problem = await reply.json()

    assert (reply.status, reply.headers.get("Retry-After")) == (heard, passed_on)
    assert (reply.content_type, problem["code"]) == ("application/problem+json", "upstream.socket-refused")
    assert (problem["service"], problem["status"]) == ("notification", heard)
    assert f"status {told}" in problem["detail"]


async def test_a_client_that_does_not_read_holds_the_service_back(start_gateway: Any) -> None:
    sent = 0

    async def firehose(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2000):
            await send({"type": "websocket.send", "bytes": bytes(65_536)})
            sent += 1
        await send({"type": "websocket.close"})

    async with start_gateway(notification=firehose) as client, client.ws_connect("/ws", max_msg_size=1 << 20) as socket:
        await at_a_standstill(lambda: sent)
        assert 0 < sent < 500

        received = 0
        async for message in socket:
            received += len(message.data)
        assert received == 2000 * 65_536


async def test_a_service_that_does_not_read_holds_the_client_back(start_gateway: Any) -> None:
    reading, read = asyncio.Event(), 0

    async def lazy(scope: Any, receive: Any, send: Any) -> None:
        nonlocal read
        await receive()
        await send({"type": "websocket.accept"})
        await reading.wait()
        while (message := await receive())["type"] == "websocket.receive":
            read += len(message["bytes"])

    async with start_gateway(notification=lazy) as client:
        socket = await client.ws_connect("/ws")
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(2000):
                await socket.send_bytes(bytes(65_536))
                sent += 1

        sending = asyncio.create_task(send_all())
        await at_a_standstill(lambda: sent)
        assert 0 < sent < 500

        reading.set()
        await sending
        await eventually(lambda: read == 2000 * 65_536)
        await socket.close()
