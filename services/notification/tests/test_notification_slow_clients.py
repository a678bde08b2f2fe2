"""A client that does not read: it is cut in bounded time, and nobody else notices.

The control is the plan's own broadcast, which awaits each client in turn: there the healthy client starves.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from cortex_core.testing import eventually, serving

PADDING = 64 * 1024  # bytes a frame: the kernel's buffers on both sides are full after some tens of them
FRAMES = 400
PATIENT = 100_000.0  # seconds that a deaf client may take: beyond the test's, so nobody is given up for being slow
STALL = 60.0  # seconds without a frame that end the test, which nobody waits for unless it fails
CERTAIN = 1.5  # the same where starving is certain: there is nothing to be patient for

Speak = Callable[[int], Coroutine[Any, Any, None]]


@asynccontextmanager
async def deaf_client(url: Any) -> AsyncIterator[ClientWebSocketResponse]:
    """Connects, takes the welcome, and reads nothing more."""

    def narrow(address: Any) -> socket.socket:
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        made.setblocking(False)
        return made

    async with ClientSession(connector=TCPConnector(socket_factory=narrow)) as http:
        deaf = await http.ws_connect(url, max_msg_size=0)
        await deaf.receive(timeout=20)
        transport: Any = deaf._response.connection.transport if deaf._response.connection else None
        transport.pause_reading()  # else the client's own loop would read on into memory
        yield deaf
        transport.abort()


async def longest_wait(healthy: ClientWebSocketResponse, speak: Speak, stall: float) -> float:
    """The longest the healthy client waited for a frame, in seconds, `stall` where it gave up."""
    longest = 0.0
    for number in range(FRAMES):
        began = time.perf_counter()
        speaking = asyncio.create_task(speak(number))
        try:
            frame = await healthy.receive(timeout=stall)
        except TimeoutError:
            speaking.cancel()
            return stall
        assert frame.type is WSMsgType.TEXT, frame  # the end of the connection would come at once, too
        await speaking
        longest = max(longest, time.perf_counter() - began)
    return longest


def metric_is(service: Any, name: str, value: float) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return bool(await service.metric(name) == value)

    return condition


CUT = 'cortex_hub_websocket_closed_total{code="1013"}'


@pytest.mark.parametrize("deaf", [1, 5])
async def test_others_are_not_delayed_and_the_deaf_are_cut(serve: Any, completed: Any, deaf: int) -> None:
    def speak(number: int) -> Coroutine[Any, Any, None]:
        published: Coroutine[Any, Any, None] = service.publish(completed(f"ord_{number}", padding=PADDING))
        return published

    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serve(queue=4, send_timeout=PATIENT))
        healthy = await stack.enter_async_context(service.client(max_msg_size=0))
        for _ in range(deaf):
            await stack.enter_async_context(deaf_client(service.http._base_url / "ws"))
        assert await service.connected() == deaf + 1

        assert await longest_wait(healthy.socket, speak, STALL) < STALL  # it has had every frame

        await eventually(metric_is(service, CUT, deaf))  # by their queues, which overflow: no time-out has passed
        assert await service.connected() == 1


async def test_control_the_plans_broadcast_starves_everybody() -> None:
    app, clients = FastAPI(), list[WebSocket]()

    @app.websocket("/ws")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        clients.append(websocket)
        await websocket.send_text("welcome")
        with suppress(WebSocketDisconnect):
            await websocket.receive()

    async def broadcast(_number: int) -> None:
        for websocket in clients:
            await websocket.send_text("x" * PADDING)

    async with (
        serving(app) as http,
        deaf_client(http._base_url and http._base_url / "ws"),
        http.ws_connect("/ws", max_msg_size=0) as healthy,
    ):
        await healthy.receive(timeout=20)

        assert await longest_wait(healthy, broadcast, CERTAIN) == CERTAIN


async def test_one_stuck_frame_is_enough_without_any_overflow(serve: Any, completed: Any) -> None:
    async with serve(queue=10_000, send_timeout=0.2) as service, deaf_client(service.http._base_url / "ws"):
        await service.publish(*(completed(f"ord_{number}", padding=PADDING) for number in range(FRAMES)))

        await eventually(metric_is(service, CUT, 1))
        assert await service.connected() == 0
