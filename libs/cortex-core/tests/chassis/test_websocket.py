"""A client that has stopped reading is told, and cut: what uvicorn alone does not do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType

from cortex_core.chassis import websocket
from cortex_core.testing import eventually, serving

FRAME = "x" * 65536


class Stuffing:
    """Sends until its client takes no more, then closes with 1013."""

    def __init__(self) -> None:
        self.stuck = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                async with asyncio.timeout(0.2):
                    await send({"type": "websocket.send", "text": FRAME})
        except TimeoutError:
            self.stuck = True
        await send({"type": "websocket.close", "code": 1013, "reason": "too slow"})


@asynccontextmanager
async def deaf_client(server: ClientSession) -> AsyncIterator[tuple[ClientWebSocketResponse, Any]]:
    """A client with a narrow window that reads nothing, and its transport."""

    def narrow(address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        made.setblocking(False)
        return made

    async with ClientSession(connector=TCPConnector(socket_factory=narrow)) as http:
        deaf = await http.ws_connect(f"{server._base_url}/ws", max_msg_size=0)
        assert deaf._response.connection is not None
        transport: Any = deaf._response.connection.transport
        transport.pause_reading()
        yield deaf, transport
        transport.abort()


def held(port: int | None) -> int:
    """Established connections of this process at the server's side."""
    return sum(
        1
        for connection in psutil.Process().net_connections()
        if connection.laddr and connection.laddr[1] == port and connection.status == psutil.CONN_ESTABLISHED
    )


async def test_who_reads_again_finds_the_close_frame_at_the_end() -> None:
    app = Stuffing()
    async with serving(app) as server, deaf_client(server) as (deaf, transport):
        await eventually(lambda: app.stuck)
        transport.resume_reading()
        while (await deaf.receive(timeout=2)).type is WSMsgType.TEXT:
            pass

    assert deaf.close_code == 1013


async def test_who_never_reads_again_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "LINGER", 0.3)
    app = Stuffing()
    async with serving(app) as server, deaf_client(server):
        assert server._base_url is not None
        port = server._base_url.port
        await eventually(lambda: app.stuck)
        assert held(port) == 1

        await eventually(lambda: held(port) == 0)


async def test_a_server_that_ends_says_that_it_goes_away() -> None:
    async def listening(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await Stuffing()(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with ClientSession() as http:
        async with serving(listening) as server:
            client = await http.ws_connect(f"{server._base_url}/ws")
        closed = await client.receive(timeout=2)

    assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1001)
