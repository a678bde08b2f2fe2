"""The six services as applications that know one issuer and nobody anonymous, asked with a test's own bytes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import cortex_analytics.settings
import cortex_analytics.wiring
import cortex_compute.settings
import cortex_compute.wiring
import cortex_gateway.settings
import cortex_gateway.wiring
import cortex_notification.settings
import cortex_notification.wiring
import cortex_order.settings
import cortex_order.wiring
import cortex_storage.settings
import cortex_storage.wiring
from cortex_core.actors.kinds import Virtual
from cortex_core.chassis import HttpProtocol, protocol_class
from cortex_core.events import EventBus, MemoryEventBus
from cortex_core.security.api_keys import MemoryApiKeys
from cortex_core.testing import Issuer, serving
from cortex_gateway import usecases
from cortex_gateway.adapters import sockets
from cortex_gateway.adapters.pool import exchange, paced, pool
from cortex_gateway.dataplane import ExpressProtocol
from cortex_gateway.routes import ROUTES, RouteTable

SERVICES = ("order", "notification", "analytics", "storage", "compute")

Pairs = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Reply:
    """`status` is 101 where a socket was accepted."""

    status: int
    headers: dict[str, str]
    body: Any


class Service:
    """One application, asked as a server would: the bytes of the headers are the test's."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def ask(self, method: str, path: str, headers: Pairs, query: bytes = b"") -> Reply:
        socket = method == "SOCKET"
        scope = {
            "type": "websocket" if socket else "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws" if socket else "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), *headers],
            "client": ("127.0.0.1", 1234),
            "server": ("127.0.0.1", 80),
            **({"subprotocols": [], "extensions": {"websocket.http.response": {}}} if socket else {"method": method}),
        }
        sent: list[Any] = []
        waiting = [{"type": "websocket.connect"}] if socket else [{"type": "http.request", "body": b""}]
        begun = asyncio.Event()

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            await begun.wait()
            return {"type": "websocket.disconnect", "code": 1000} if socket else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "websocket.accept" or not message.get("more_body", True):
                begun.set()

        await asyncio.wait_for(self.app(scope, receive, send), 60)
        start = sent[0]
        body = b"".join(message.get("body", b"") for message in sent[1:] if isinstance(message.get("body"), bytes))
        fields = {name.decode(): value.decode("latin-1") for name, value in start.get("headers") or ()}
        return Reply(start.get("status", 101), fields, _parsed(body) if method != "HEAD" else None)


class SharedBus(MemoryEventBus):
    """One of all services: it ends with the test, not with the first of them."""

    async def aclose(self) -> None:
        """Others are still there."""


class Line:
    """One connection to a service after the other, each with as many requests as it takes."""

    def __init__(self, service: Service) -> None:
        self._port = int(service.app.state.base_url.rpartition(":")[2])
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, headers: Pairs) -> Reply:
        reader, writer = self._ends = self._ends or await asyncio.open_connection("127.0.0.1", self._port)
        lines = [b"host: 127.0.0.1", b"content-length: 0", *(name + b": " + value for name, value in headers)]
        writer.write(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"", b""]))
        async with asyncio.timeout(60):
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in rest if line)
            body = await _body(reader, fields) if method != "HEAD" else b""
        if fields.get("connection") == "close":
            self.close()
        return Reply(int(first.split(" ")[1]), fields, _parsed(body))

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


async def _body(reader: asyncio.StreamReader, fields: dict[str, str]) -> bytes:
    if "chunked" not in fields.get("transfer-encoding", ""):
        return await reader.readexactly(int(fields.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


StartService = Callable[..., Any]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is near may take as long as a busy machine needs for it: nothing here is about that."""
    for module in (exchange, paced, pool, sockets):
        monkeypatch.setattr(module, "CONNECT", 10.0)
    monkeypatch.setattr(usecases, "_PROBE_TIMEOUT", 10.0)
    monkeypatch.setattr(Virtual.ask, "__defaults__", (60.0, None))  # an order's actor is asked, and waited for
    table = RouteTable([replace(route, timeout=60.0) for route in ROUTES])
    monkeypatch.setattr(cortex_gateway.wiring, "_TABLE", table)


@pytest.fixture
def start_service(tmp_path: Path, issuer: Issuer) -> StartService:
    """`async with start_service("order") as service`, with further settings by name. `bus`: one that is shared."""

    @asynccontextmanager
    async def start(name: str, *, bus: EventBus | None = None, **settings: Any) -> AsyncIterator[Service]:
        module, classes = _MODULES[name]
        database = {"database_url": f"sqlite+aiosqlite:///{tmp_path}/{name}.db"}
        own: dict[str, dict[str, Any]] = {
            "order": database,
            "analytics": {**database, "exporter_port": 0},
            "storage": {**database, "blocks_dir": tmp_path / "blocks"},
            "compute": {"workers": 1},
            "gateway": {
                "rate_limit_per_minute": 0,
                "failed_attempts_per_minute": 0,
                "rate_limit_store": "memory",
                "key_pepper": "0123456789abcdef" * 4,
            },
        }
        parts = {"api_keys": MemoryApiKeys()} if name == "gateway" else {}
        told = {**own.get(name, {}), **issuer.settings(gateway=name == "gateway"), **settings}
        app = module.build(classes.Settings(env="test", **told), bus=bus or MemoryEventBus(), **parts)
        base = ExpressProtocol if name == "gateway" else HttpProtocol
        async with serving(app, protocol=protocol_class(base, application=app)) as client:
            app.state.base_url = str(client._base_url).rstrip("/")
            yield Service(app)

    return start


@pytest.fixture
def shared_bus() -> MemoryEventBus:
    return SharedBus()


@pytest.fixture
def line() -> type[Line]:
    return Line


@pytest.fixture
def start_hub(start_service: StartService) -> StartService:
    """The gateway in front of all five. `shared` are settings, and a bus, of all six."""

    @asynccontextmanager
    async def start(*, shared: Mapping[str, Any] | None = None, **settings: Any) -> AsyncIterator[Service]:
        of_all = dict(shared or {})
        async with (
            _all(start_service, of_all) as addresses,
            start_service("gateway", **addresses, **of_all, **settings) as gateway,
        ):
            yield gateway

    return start


@asynccontextmanager
async def _all(
    start_service: StartService, shared: dict[str, Any], left: tuple[str, ...] = SERVICES
) -> AsyncIterator[dict[str, str]]:
    name, *rest = left
    async with start_service(name, **shared) as service:
        address = {f"{name}_url": service.app.state.base_url}
        if not rest:
            yield address
            return
        async with _all(start_service, shared, tuple(rest)) as others:
            yield {**address, **others}


_MODULES: dict[str, tuple[Any, Any]] = {
    "order": (cortex_order.wiring, cortex_order.settings),
    "notification": (cortex_notification.wiring, cortex_notification.settings),
    "analytics": (cortex_analytics.wiring, cortex_analytics.settings),
    "storage": (cortex_storage.wiring, cortex_storage.settings),
    "compute": (cortex_compute.wiring, cortex_compute.settings),
    "gateway": (cortex_gateway.wiring, cortex_gateway.settings),
}
