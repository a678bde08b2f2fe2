"""The gateway under its real server, in front of real upstream applications under theirs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, guarded, protocol_class
from cortex_core.events import MemoryEventBus
from cortex_core.testing import free_port, serving
from cortex_gateway import usecases
from cortex_gateway.adapters import sockets
from cortex_gateway.adapters.pool import exchange, paced, pool, verdict
from cortex_gateway.dataplane import ExpressProtocol
from cortex_gateway.settings import Settings
from cortex_gateway.wiring import build

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
StartGateway = Callable[..., AbstractAsyncContextManager[aiohttp.ClientSession]]


def alive(app: App) -> App:
    """`app`, which only knows requests, as one that can also be started and stopped."""

    async def with_lifespan(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            return await app(scope, receive, send)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return with_lifespan


@pytest.fixture(params=["express", "asgi"])
def lane(request: pytest.FixtureRequest) -> str:
    """Both lanes answer alike: what is asked through `start_gateway` is asked of each."""
    return str(request.param)


def starting(lane: str) -> StartGateway:
    """`async with start_gateway(order=app, storage="http://…") as client`: services not named are down.

    Nobody is limited and nothing is shared unless `settings` say so: these tests ask more often than a client may.
    `parts` go to `build` in place of what it would make. `limits` are a connection's.
    """

    @asynccontextmanager
    async def start(
        settings: Mapping[str, Any] | None = None,
        parts: Mapping[str, Any] | None = None,
        limits: ConnectionLimits | None = None,
        **services: App | str,
    ) -> AsyncIterator[aiohttp.ClientSession]:
        async with AsyncExitStack() as stack:
            addresses: dict[str, Any] = {}
            for name in ("order", "notification", "analytics", "storage", "compute"):
                service = services.get(name, f"http://127.0.0.1:{free_port()}")
                if not isinstance(service, str):
                    upstream = await stack.enter_async_context(serving(alive(service)))
                    service = str(upstream._base_url)
                addresses[f"{name}_url"] = service.rstrip("/")
            told = {"rate_limit_store": "memory", "rate_limit_per_minute": 0, "failed_attempts_per_minute": 0}
            told |= {**addresses, **(settings or {})}
            app = build(Settings(**{"env": "test", **told}), **{"bus": MemoryEventBus(), **(parts or {})})
            base = ExpressProtocol if lane == "express" else HttpProtocol
            protocol = guarded(protocol_class(base, application=app), limits or ConnectionLimits())
            yield await stack.enter_async_context(serving(app, protocol=protocol))

    return start


@pytest.fixture
def start_gateway(lane: str) -> StartGateway:
    return starting(lane)


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is near may take as long as a busy machine needs for it, where the bound of that is not the point."""
    if "real_bounds" not in request.fixturenames:
        for module in (exchange, paced, pool, sockets):
            monkeypatch.setattr(module, "CONNECT", 10.0)
        monkeypatch.setattr(usecases, "_PROBE_TIMEOUT", 10.0)
    monkeypatch.setattr(verdict, "SUSPECT", 10.0)  # who keeps somebody waiting is asked; who looks into that says when


@pytest.fixture
def real_bounds() -> None:
    """How long a connection, a place and a probe may take is what the test is about."""


@pytest.fixture
def start_express() -> StartGateway:
    return starting("express")


@pytest.fixture
def start_asgi() -> StartGateway:
    return starting("asgi")


@pytest.fixture
def black_hole(real_bounds: None) -> Iterator[str]:
    """An address that neither takes nor refuses a connection: its backlog is full, so Linux drops what knocks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()


async def read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def answer(
    send: Send, status: int = 200, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})


class Recorder:
    """An upstream that remembers what reached it and gives the answer it was told to. Whether it lives does not count:
    the gateway asks that where a machine is slow."""

    def __init__(self, status: int = 200, body: bytes = b"{}", headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.reply = (status, body, list(headers))
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if scope["path"] == "/health/live":
            return await answer(send, *self.reply)
        self.requests.append({**scope, "body": body, "headers": list(scope["headers"])})
        return await answer(send, *self.reply)

    def header(self, name: str) -> list[str]:
        """All values of a header of the only request."""
        (request,) = self.requests
        return [value.decode() for key, value in request["headers"] if key == name.encode()]


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def order() -> AsyncIterator[str]:
    """A service that answers each request after a few milliseconds, so that some are in progress at every moment."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(0.005)
                writer.write(_ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Targets that were answered without being parsed."""
    seen: list[bytes] = []
    really = ExpressProtocol._repeated

    def noting(self: Any, request: Any, *more: Any) -> bool:
        answered = really(self, request, *more)
        if answered:
            seen.append(request.target)
        return answered

    monkeypatch.setattr(ExpressProtocol, "_repeated", noting)
    return seen


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that were made to the gateway."""
    seen: list[Any] = []
    really = ExpressProtocol.connection_made

    def noting(self: Any, transport: Any) -> None:
        seen.append(self)
        really(self, transport)

    monkeypatch.setattr(ExpressProtocol, "connection_made", noting)
    return seen
