"""A hub in one process that is as it should be, or lies in one thing: what the demonstration has to find."""

import asyncio
import itertools
from collections import Counter
from typing import Any

from aiohttp import WSMsgType, web

from cortex_cli.demo.png import Picture, read_png
from cortex_core.ipfs import FileBuilder

SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
OUTCOMES = {"tok_ok": "completed", "tok_flaky": "completed", "tok_declined": "failed"}


class SmallHub:
    """What a client sees of the hub, kept in memory. `lie` names one thing that it gets wrong."""

    def __init__(self) -> None:
        self.lie = ""
        self.refusals = 0  # requests to answer with 429 first
        self.token: str | None = None  # who does not show it is nobody
        self.forbidden = ""  # the path that the token's scopes do not reach
        self.offered: list[str] = []  # subprotocols
        self.counted = Counter(created=7, completed=5, failed=2)
        self.orders: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.numbers = itertools.count(1)
        self.tasks: list[asyncio.Task[None]] = []
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application(client_max_size=8 << 20, middlewares=[self._limit])
        app.router.add_get("/health", self.health)
        app.router.add_get("/ws", self.socket)
        app.router.add_post("/api/orders", self.place)
        app.router.add_get("/api/orders/{id}", self.order)
        app.router.add_get("/api/analytics/metrics", self.metrics)
        app.router.add_post("/api/storage/files", self.store)
        app.router.add_get("/api/storage/files/{cid}", self.fetch)
        app.router.add_post("/api/compute/images", self.grey)
        return app

    @web.middleware
    async def _limit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.refusals and request.path != "/ws":
            self.refusals -= 1
            return web.json_response({"code": "rate-limited"}, status=429, headers={"Retry-After": "1"})
        if self.token is not None and request.path != "/health":
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.json_response({"code": "auth.required", "detail": "the token has expired"}, status=401)
            if request.path == self.forbidden:
                return web.json_response({"code": "auth.insufficient-scope", "scope": "a:scope"}, status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def health(self, request: web.Request) -> web.Response:
        down = self.lie == "storage is down"
        services = [name for name in SERVICES if name != "compute" or self.lie != "compute is forgotten"]
        return web.json_response(
            {"status": "degraded" if down else "up", "checks": {name: {"status": "up"} for name in services}}
        )

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        if self.lie == "no socket":
            raise web.HTTPServiceUnavailable
        self.offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        socket = web.WebSocketResponse(protocols=("cortex.events",))
        await socket.prepare(request)
        first = "hello" if self.lie == "no welcome" else "welcome"
        await socket.send_json({"type": first, "clientId": "cli_1", "timestamp": "2026-11-23T12:00:00Z"})
        self.sockets.append(socket)
        async for message in socket:
            assert message.type is WSMsgType.TEXT
        self.sockets.remove(socket)
        return socket

    async def place(self, request: web.Request) -> web.Response:
        body = await request.json()
        order_id = f"ord_{next(self.numbers):032x}"
        order = {"orderId": order_id, "status": "pending", "total": 2500, "currency": "EUR", "version": 1}
        self.orders[order_id] = order
        self.tasks.append(asyncio.create_task(self._process(order, body["paymentToken"])))
        return web.json_response(order, status=201, headers={"Location": f"orders/{order_id}"})

    async def _process(self, order: dict[str, Any], token: str) -> None:
        status = OUTCOMES[token]
        if self.lie == "everybody pays":
            status = "completed"
        self.counted["created"] += 1
        await self._tell("order.created", order)
        await self._tell("order.state.changed", order, state="processing")
        order["status"] = status
        if status == "failed":
            order["reason"] = "declined"
        self.counted[status] += 2 if self.lie == "counted twice" else 1
        if self.lie == "socket closes":
            for socket in list(self.sockets):
                await socket.close()
            return
        await self._tell(f"order.{status}", order, processingTime=0.1)
        if self.lie == "status not kept":
            order["status"] = "pending"

    async def _tell(self, kind: str, order: dict[str, Any], **more: Any) -> None:
        for socket in list(self.sockets):
            await socket.send_json(
                {"type": kind, "id": "evt_1", "time": "…", "data": {"orderId": order["orderId"], **more}}
            )

    async def order(self, request: web.Request) -> web.Response:
        return web.json_response(self.orders[request.match_info["id"]])

    async def metrics(self, request: web.Request) -> web.Response:
        return web.json_response({"orders": dict(self.counted)})

    async def store(self, request: web.Request) -> web.Response:
        content = await request.read()
        builder = FileBuilder()
        builder.add(content + (b"!" if self.lie == "other cid" else b""))
        cid = str(builder.finish().cid)
        self.files[cid] = content
        return web.json_response({"cid": cid, "size": len(content)}, status=201)

    async def fetch(self, request: web.Request) -> web.Response:
        content = self.files[request.match_info["cid"]]
        return web.Response(body=content[:-1] + b"?" if self.lie == "other bytes" else content)

    async def grey(self, request: web.Request) -> web.Response:
        picture = read_png(await request.read())
        pixels = bytearray(picture.pixels)
        if self.lie != "still colourful":
            red, green, blue = (picture.pixels[channel::3] for channel in range(3))
            luma = bytes(
                (19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in zip(red, green, blue, strict=True)
            )
            pixels[0::3] = pixels[1::3] = pixels[2::3] = luma
        body = b"GIF89a" if self.lie == "no png" else Picture(picture.width, picture.height, bytes(pixels)).to_png()
        return web.Response(body=body, content_type="image/png")
