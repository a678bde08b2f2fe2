"""What people and programs do to the hub while its dashboards are looked at: the demonstration's journeys, and what
goes wrong on some days. Each thing is done so that the figure it moves is seen to move."""

import asyncio
import io
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import aiohttp
from PIL import Image

from cortex_core.events import CloudEvent
from cortex_core.events.redis import RedisEventBus

SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
LIMIT_A_MINUTE = 1500  # of the gateway: more than this work needs, and little enough to be exceeded

_GRAY = "/api/compute/images?operation=grayscale"


@dataclass(frozen=True)
class Work:
    """`url` tells where a service listens."""

    url: Callable[[str], str]
    redis: str

    async def usual(self, seen: Callable[[], None]) -> None:
        """Orders, files, images, readers, and somebody on a socket, until `seen`, which waits, has returned."""
        waiting = asyncio.create_task(asyncio.to_thread(seen))
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession(self.url("gateway")))
            await stack.enter_async_context(http.ws_connect("/ws"))
            left = await http.ws_connect("/ws")
            await left.close()
            while not waiting.done():
                await asyncio.gather(self._orders(http), self._files(http), self._images(http), self._mistakes(http))
                await asyncio.wait({waiting}, timeout=0.2)
        await waiting

    async def unusual(self) -> None:
        """An event that nobody can read, and a request that is none."""
        async with aclosing(RedisEventBus(self.redis, retention=None)) as bus:
            await bus.publish([CloudEvent("order.unheard-of", "test", "ord_1", {})])
        for service in SERVICES:
            await self._no_http(service)

    async def impatience(self) -> None:
        """More requests than one client may make."""
        async with aiohttp.ClientSession(self.url("gateway")) as http:
            for _ in range(LIMIT_A_MINUTE // 100):
                await asyncio.gather(*(_ask(http, "GET", "/api") for _ in range(120)))

    async def without_compute(self, pid: int) -> None:
        """It is killed, and asked for until the gateway has heard enough."""
        os.kill(pid, signal.SIGKILL)
        async with aiohttp.ClientSession(self.url("gateway")) as http:
            picture = _picture()
            for _ in range(6):
                await asyncio.gather(*(_ask(http, "POST", _GRAY, picture, "image/png") for _ in range(8)))

    async def _orders(self, http: aiohttp.ClientSession) -> None:
        for token in ("tok_ok", "tok_declined", "tok_flaky"):
            body = {
                "customerId": "cus_1",
                "currency": "EUR",
                "items": [{"sku": "book", "quantity": 1, "unitPrice": 1250}],
                "paymentToken": token,
            }
            async with http.post("/api/orders", json=body) as answer:
                placed = await answer.json(content_type=None)
            if answer.status == 201:  # a machine in a sweat may refuse one
                await _ask(http, "GET", f"/api/orders/{placed['orderId']}")
        await _ask(http, "GET", "/api/orders?limit=50")
        await _ask(http, "GET", "/api/analytics/metrics")

    async def _files(self, http: aiohttp.ClientSession) -> None:
        async with http.post("/api/storage/files", data=os.urandom(50_000)) as answer:
            stored = await answer.json(content_type=None)
        if answer.status == 201:
            await _ask(http, "GET", f"/api/storage/files/{stored['cid']}")

    async def _images(self, http: aiohttp.ClientSession) -> None:
        await _ask(http, "POST", _GRAY, _picture(), "image/png")

    async def _mistakes(self, http: aiohttp.ClientSession) -> None:
        for service in SERVICES:
            await _ask(http, "GET", f"{self.url(service)}/nowhere")
        async with http.get("/api/orders", headers={"Authorization": "Bearer nobody"}):
            pass
        await self._upload_and_leave()

    async def _upload_and_leave(self) -> None:
        host, _, port = self.url("gateway").removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/storage/files HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun")
        await writer.drain()
        writer.close()

    async def _no_http(self, service: str) -> None:
        host, _, port = self.url(service).removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        await reader.read()
        writer.close()


def _picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    return out.getvalue()


async def _ask(
    http: aiohttp.ClientSession, method: str, path: str, body: bytes | None = None, content_type: str | None = None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    async with http.request(method, path, data=body, headers=headers) as answer:
        await answer.read()
