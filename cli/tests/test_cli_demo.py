"""The demonstration against a small hub that can be told to lie: every lie is found, and named."""

import asyncio
import itertools
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from cortex_cli.demo.gateway import Gateway
from cortex_cli.demo.png import Picture, read_png
from cortex_cli.demo.report import Json, Telling
from cortex_cli.demo.run import show
from cortex_cli.refusal import Refusal
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


@pytest.fixture
async def small_hub() -> AsyncIterator[SmallHub]:
    hub = SmallHub()
    runner = web.AppRunner(hub.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hub
    for task in hub.tasks:
        task.cancel()
    await asyncio.gather(*hub.tasks, return_exceptions=True)
    for socket in list(hub.sockets):
        await socket.close()
    await runner.cleanup()


async def demo(hub: SmallHub, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = await show(hub.url, SERVICES, out, Json())
    return status, json.loads(capsys.readouterr().out)


async def test_a_sound_hub_passes_every_step(
    small_hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = await demo(small_hub, tmp_path, capsys)

    assert status == 0
    assert told["ok"] is True
    assert [step["result"] for step in told["steps"]] == ["ok"] * 9
    assert Counter(order["status"] for order in told["orders"]) == {"completed": 4, "failed": 1}
    assert told["analytics"]["after"] == {"created": 12, "completed": 9, "failed": 3}
    assert [file["size"] for file in told["files"]] == [204800, 1048577]
    assert read_png((tmp_path / "after.png").read_bytes()).is_grey_of(read_png((tmp_path / "before.png").read_bytes()))
    assert told["requests"] < 30


async def test_it_can_be_run_again_at_once(
    small_hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = await demo(small_hub, tmp_path, capsys)
    second, _ = await demo(small_hub, tmp_path, capsys)

    assert (first, second) == (0, 0)


@pytest.mark.parametrize(
    ("lie", "step", "expected"),
    [
        ("storage is down", "health", "status up from /health"),
        ("compute is forgotten", "health", "nothing of compute"),
        ("no socket", "live notifications", "a WebSocket at /ws"),
        ("no welcome", "live notifications", '"type":"welcome"'),
        ("socket closes", "orders ended", "the WebSocket to stay open"),
        ("everybody pays", "orders ended", "order.failed for the order with tok_declined"),
        ("status not kept", "orders ended", '"status": "completed"'),
        ("counted twice", "analytics after", "5 created, 4 completed, 1 failed within"),
        ("other cid", "a small file", "the CID baf"),
        ("other bytes", "a small file", "the same 204800 bytes back"),
        ("still colourful", "an image turned grey", "the luma of the original's"),
        ("no png", "an image turned grey", "a PNG that can be read"),
    ],
)
async def test_a_lie_is_found_at_its_step_and_ends_the_journey(
    small_hub: SmallHub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    lie: str,
    step: str,
    expected: str,
) -> None:
    monkeypatch.setattr("cortex_cli.demo.journey._CATCHING_UP", 2.0)
    small_hub.lie = lie

    status, told = await demo(small_hub, tmp_path, capsys)

    assert status == 1
    assert told["ok"] is False
    failed = [each for each in told["steps"] if each["result"] == "failed"]
    assert [each["name"] for each in failed] == [step]
    assert expected in failed[0]["says"]
    after = [each["result"] for each in told["steps"]][[each["name"] for each in told["steps"]].index(step) + 1 :]
    assert set(after) <= {"skipped"}


async def test_who_has_a_token_shows_it_and_on_the_socket_as_a_page_does(
    small_hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_hub.token = "st_canary"
    monkeypatch.setenv("CORTEX_TOKEN", "st_canary\n")

    status, told = await demo(small_hub, tmp_path, capsys)

    assert (status, told["ok"]) == (0, True)
    assert small_hub.offered == ["cortex.events", "cortex.bearer.st_canary"]
    assert "canary" not in json.dumps(told)


@pytest.mark.parametrize(
    ("token", "forbidden", "line"),
    [
        (None, "", "wants to know who asks: set CORTEX_TOKEN to a token with the scopes orders:read orders:write"),
        ("st_other", "", "does not accept CORTEX_TOKEN: "),
        ("st_canary", "/ws", "CORTEX_TOKEN may not GET /ws at "),
        ("st_canary", "/api/orders", "CORTEX_TOKEN may not POST /api/orders at "),
        ("st_canary", "/api/compute/images", "POST /api/compute/images at "),
        ("no token\x00", "", "CORTEX_TOKEN is no token"),
    ],
)
async def test_a_token_that_is_missing_or_allows_too_little_is_one_line(
    small_hub: SmallHub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    forbidden: str,
    line: str,
) -> None:
    small_hub.token, small_hub.forbidden = "st_canary", forbidden
    monkeypatch.delenv("CORTEX_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setattr("os.environ", {**os.environ, "CORTEX_TOKEN": token})

    with pytest.raises(Refusal) as refused:
        await demo(small_hub, tmp_path, capsys)

    assert line in refused.value.message
    assert "\n" not in refused.value.message
    assert "canary" not in refused.value.message
    if forbidden.startswith("/api"):
        assert refused.value.message.endswith("the token lacks a:scope")


async def test_it_waits_where_the_limiter_asks_it_to(
    small_hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_hub.refusals = 1

    status = await show(small_hub.url, SERVICES, tmp_path, Telling())

    assert status == 0
    assert "asks to wait 1 s" in capsys.readouterr().out


async def test_without_a_terminal_it_fits_eighty_columns(
    small_hub: SmallHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    await show(small_hub.url, SERVICES, tmp_path, Telling())

    out = capsys.readouterr().out
    assert "All as it should be." in out
    assert "order.completed" in out
    assert "\x1b" not in out
    paths_apart = [line for line in out.splitlines() if str(tmp_path) not in line and "bytes up and down" not in line]
    assert max(map(len, paths_apart)) <= 80


async def test_nobody_at_the_address_is_a_refusal_that_says_what_to_do(tmp_path: Path, unused_tcp_port: int) -> None:
    with pytest.raises(Refusal, match=r"start the hub with `cortex up`, or pass --url"):
        await show(f"http://127.0.0.1:{unused_tcp_port}", SERVICES, tmp_path, Json())


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1:3000"])
async def test_what_is_no_url_is_a_refusal(url: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="pass --url http"):
        await show(url, SERVICES, tmp_path, Json())


async def test_who_has_a_token_shows_it_at_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/health", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        for token in ("a.b.c", ""):
            monkeypatch.setenv("CORTEX_TOKEN", token)
            async with Gateway.open(url, lambda _: None) as gateway:
                await gateway.get("/health")

    assert asked == ["Bearer a.b.c", None]
