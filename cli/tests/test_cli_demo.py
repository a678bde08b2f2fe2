"""The demonstration against a small hub that can be told to lie: every lie is found, and named."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cortex_cli.demo.gateway import Gateway
from cortex_cli.demo.png import read_png
from cortex_cli.demo.report import Json, Telling
from cortex_cli.demo.run import show
from cortex_cli.refusal import Refusal

from .small_hub import SERVICES, SmallHub


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
