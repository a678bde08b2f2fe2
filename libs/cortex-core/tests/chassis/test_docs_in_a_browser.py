"""`/docs` in a real browser: Swagger UI works under its content policy, and the browser has no complaint."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import pytest
from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from cortex_core.chassis import Config, Platform, create_app
from cortex_core.events import MemoryEventBus
from cortex_core.testing import eventually, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")

SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
]
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => violations.push(`${e.effectiveDirective} ${e.blockedURI}`));
"""

router = APIRouter()


class Cup(BaseModel):
    size: Annotated[int, Field(gt=0)]


@router.post("/cups")
async def pour(cup: Cup) -> Cup:
    """Markdown of a description: `code`, *emphasis*, [a link](https://a.example)."""
    return cup


@router.get("/docs/naive", include_in_schema=False)
async def naive() -> HTMLResponse:
    """A page that knows nothing of the policy it is sent under: the probe must notice."""
    return HTMLResponse(
        "<!doctype html><p style='color: red' onclick='1'>naive</p><script>1</script><script src='/x.js'></script>"
    )


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[None]:
    yield None


class Browser:
    """One tab, by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._last = 0
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]
            if message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])
            if message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"]))

    async def evaluate(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        for domain in ("Page", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        await self.call("Page.navigate", url=url)

    async def click(self, selector: str) -> None:
        """Clicks the first element that matches, as soon as there is one."""
        found = f"document.querySelector({json.dumps(selector)})"
        await eventually(lambda: self.evaluate(f"{found} !== null"), within=30)
        await self.evaluate(f"{found}.click()")


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *SWITCHES, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        address = ""
        while not (found := re.search(r"ws://([^/]+)/devtools", address)):
            address = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert address, "the browser did not start"
        reading = asyncio.create_task(process.stderr.read())  # else it would block on a full pipe one day
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{found[1]}/json/list") as listed:
                page = next(each for each in await listed.json() if each["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Browser(socket)
        reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as tab:
        yield tab


@pytest.fixture
async def address() -> AsyncIterator[str]:
    app = create_app(Config(env="test"), running=running, routers=[router], bus=MemoryEventBus())
    async with serving(app) as client:
        yield str(client._base_url).rstrip("/")


async def test_a_page_that_ignores_its_policy_is_noticed(tab: Browser, address: str) -> None:
    await tab.open(f"{address}/docs/naive")

    async def blocked() -> bool:
        assert await tab.evaluate("violations") == [
            "style-src-attr inline",
            "script-src-attr inline",
            "script-src-elem inline",
            f"script-src-elem {address}/x.js",
        ]
        return True

    await eventually(blocked, within=30)
    assert any("Content Security Policy" in complaint for complaint in tab.complaints)


async def test_an_operation_is_read_and_tried_out_without_a_violation(tab: Browser, address: str) -> None:
    await tab.open(f"{address}/docs")
    await tab.click("#operations-default-pour_cups_post button.opblock-summary-control")
    await tab.click("button.try-out__btn")
    await tab.click("button.execute")

    status = "document.querySelector('.live-responses-table tbody .response-col_status')?.innerText ?? ''"
    shown = await eventually(lambda: tab.evaluate(status), within=30)
    for _ in range(3):
        await tab.click(".json-schema-2020-12-accordion")

    assert shown.split()[0] == "200"
    assert await tab.evaluate("violations") == []
    assert tab.complaints == []
