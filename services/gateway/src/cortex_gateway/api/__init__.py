"""The edge: ASGI's messages become a request that is forwarded, and the service's answer becomes ASGI's messages.

Nothing is gathered here: a part of a body is read when the other side has taken the last one. Whoever leaves first
ends the other's part too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.routing import Route as StarletteRoute

from cortex_core.asgi.access_log import UNMATCHED
from cortex_core.asgi.problems import Answered
from cortex_core.asgi.types import Message, Receive, Scope, Send, header
from cortex_core.chassis import respond, session_of, use_cases
from cortex_core.kernel import CortexError
from cortex_core.security import Session
from cortex_gateway.api.methods import not_served
from cortex_gateway.domain import Headers, index, response_headers
from cortex_gateway.domain.provenance import Source
from cortex_gateway.ports import Closed, Socket
from cortex_gateway.routes import PREFIX, SOCKETS, MethodNotAllowed, Route
from cortex_gateway.usecases import Incoming, UseCases, told_to_anybody

router = APIRouter()

_GOING_AWAY: Final = 1001
_CLOSE_SECONDS: Final = 1.0
_BAD_GATEWAY: Final = 1014  # IANA's registry: the gateway got no proper answer from the service


class Forwarding:
    """An ASGI application of its own under `/api`, because its bodies are nobody's to parse."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        use: UseCases = scope["app"].state.use_cases
        scope["cortex.route"] = UNMATCHED  # until the table says otherwise: unknown paths are one route in the metrics
        try:
            route = use.forward.route(scope["method"], scope["path"])
        except MethodNotAllowed as error:
            scope["cortex.route"] = error.template
            return await not_served(error, scope)(scope, receive, send)
        scope["cortex.route"] = route.path
        body = ClientBody(receive, expected=_has_body(scope["headers"]))
        await _unless_gone(self._pass_on(use, route, scope, body, send), body)

    @staticmethod
    async def _pass_on(use: UseCases, route: Route, scope: Scope, body: "ClientBody", send: Send) -> None:
        request = _incoming(scope, scope["method"], use.provenance(scope), body.parts() if body.expected else None)
        async with use.forward(request, route) as answer:
            headers = response_headers(answer.status, answer.headers)
            if withheld := use.forward.withheld:
                headers = [(name, value) for name, value in headers if name not in withheld]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for part in answer.body:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


router.routes.append(StarletteRoute(f"{PREFIX}/{{path:path}}", Forwarding(), include_in_schema=False))


class ClientLeft(ConnectionError):
    """The client hung up in the middle of its request."""


class ClientBody:
    """The request's body as it comes in, and afterwards the news that the client has left."""

    def __init__(self, receive: Receive, *, expected: bool) -> None:
        self._receive = receive
        self.expected = expected
        self.gone = False
        self._read = asyncio.Event()
        if not expected:
            self._read.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """Raises ClientLeft, and what the chassis raises of a body that is too large."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                self._read.set()
                raise ClientLeft
            if message.get("body"):
                yield message["body"]
            more = message.get("more_body", False)
        self._read.set()

    async def left(self) -> None:
        """Returns when the client has hung up."""
        await self._read.wait()
        while not self.gone:
            self.gone = (await self._receive())["type"] == "http.disconnect"


async def _unless_gone(work: Any, body: ClientBody) -> None:
    """Runs `work`; ends it, and with it its exchange with the service, as soon as the client has left."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(body.left())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})
    if not working.cancelled() and (error := working.exception()) is not None and not body.gone:
        raise error  # with nobody left to hear it, it is only the echo of the hanging up


def _incoming(connection: Scope, method: str, source: Source, body: AsyncIterator[bytes] | None = None) -> Incoming:
    return Incoming(
        method=method,
        path=connection["path"],
        query=connection["query_string"],
        headers=connection["headers"],
        source=source,
        body=body,
    )


def _has_body(headers: Headers) -> bool:
    return header(headers, b"transfer-encoding") is not None or header(headers, b"content-length") not in (None, "0")


for socket_route in SOCKETS:

    @router.websocket(socket_route.path)
    async def forward_socket(websocket: WebSocket) -> None:
        """Frames both ways until one side closes, and the other is told the same code and reason; or until the
        client's credential ends."""
        use: UseCases = use_cases(websocket)
        headers = [
            (name, value) for name, value in websocket.scope["headers"] if not name.startswith(b"sec-websocket-")
        ]
        request = _incoming({**websocket.scope, "headers": headers}, "GET", use.provenance(websocket.scope))
        try:
            with session_of(websocket) as session:
                async with use.forward_socket(request, websocket.scope["subprotocols"]) as upstream:
                    await websocket.accept(upstream.subprotocol)
                    await _relay(websocket, upstream, session)
        except CortexError as error:
            await websocket.send_denial_response(respond(error, websocket.url.path))

    @router.get(socket_route.path, include_in_schema=False)
    async def not_a_handshake(request: Request) -> Response:
        """Someone looks at a WebSocket's address with a browser."""
        error = Answered(426, "request.upgrade-required", "this is a WebSocket: connect with ws://")
        return respond(error, request.url.path, {"Connection": "Upgrade", "Upgrade": "websocket"})


async def _relay(client: WebSocket, service: Socket, session: Session) -> None:
    up, down = asyncio.create_task(_upwards(client, service)), asyncio.create_task(_downwards(client, service))
    over = asyncio.create_task(session.over())
    try:
        await asyncio.wait({up, down, over}, return_when=asyncio.FIRST_COMPLETED)
        by_client, by_us = up.done(), over.done()
    finally:
        for task in (up, down, over):
            task.cancel()
        await asyncio.wait({up, down, over})
    if by_us and not by_client:
        await _close(client, Closed(over.result().code, over.result().reason))
        await service.close(Closed(_GOING_AWAY, ""))
    elif by_client or isinstance(down.exception(), WebSocketDisconnect):
        await service.close(_sendable(up.result() if by_client else Closed(1006), _GOING_AWAY))
    else:
        await _close(client, _sendable(down.result(), _BAD_GATEWAY))


async def _close(client: WebSocket, closed: Closed) -> None:
    """To a client that takes nothing, or has left, it cannot be said: its connection is cut by the server."""
    with suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await client.close(closed.code, closed.reason)


async def _upwards(client: WebSocket, service: Socket) -> Closed:
    while True:
        message: Message = await client.receive()
        if message["type"] == "websocket.disconnect":
            if "reason" not in message:  # uvicorn's way to say that no close frame came: the connection is just gone
                return Closed(1006)
            return Closed(message["code"], message["reason"] or "")
        text = message.get("text")
        await service.send(text if text is not None else message["bytes"])


async def _downwards(client: WebSocket, service: Socket) -> Closed:
    while True:
        data = await service.receive()
        if isinstance(data, Closed):
            return data
        await (client.send_text(data) if isinstance(data, str) else client.send_bytes(data))


def _sendable(closed: Closed, broken: int) -> Closed:
    """RFC 6455, section 7.4.1: 1005 and 1006 say what was not sent, and must not be sent themselves."""
    return Closed({1005: 1000, 1006: broken}.get(closed.code, closed.code), closed.reason)


class Links(BaseModel):
    docs: str
    openapi: str
    health: str


class Index(BaseModel):
    """What this is, and where to go from here: links relative to this address."""

    name: str
    version: str
    links: Links


@router.get(PREFIX, summary="What is this?", tags=["operations"], response_model=Index)
async def entrance(request: Request) -> JSONResponse:
    return JSONResponse(index(request.app.version))


@router.get("/health", include_in_schema=False)
async def health(request: Request) -> JSONResponse:
    """The six. In place of the chassis' own, which knows of one."""
    use: UseCases = use_cases(request)
    report = await use.report_health()
    details = request.app.state.platform.settings.shows_details
    return JSONResponse((report if details else told_to_anybody(report)).to_dict())


async def openapi(request: Request) -> JSONResponse:
    """The document of everything behind the gateway. In place of FastAPI's own, which knows of one."""
    use: UseCases = use_cases(request)
    return JSONResponse(await use.describe_api(request.app.openapi()))
