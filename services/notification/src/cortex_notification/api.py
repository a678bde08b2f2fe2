"""The edge: a WebSocket becomes a conversation, and its frames and messages are carried to and fro."""

import asyncio
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Response, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from cortex_core.asgi import api_key_key, user_key
from cortex_core.chassis import ProtectedRoute, requires, session_of, use_cases
from cortex_core.chassis.problems import MEDIA_TYPE
from cortex_core.kernel import current
from cortex_core.realtime import TOO_SLOW, Closing, Connection
from cortex_core.security import Session
from cortex_notification.usecases import Conversation, UseCases

UseCasesDep = Annotated[UseCases, Depends(use_cases)]

SUBPROTOCOL: Final = "cortex.events"
"""Ours, for whoever offers it. A browser that offers any (its credential, say) wants one of them chosen."""

CLOSE_SECONDS: Final = 1.0
"""How long a close frame may take: to a client that takes nothing it cannot be delivered."""

router = APIRouter(tags=["notifications"], route_class=ProtectedRoute)


@router.websocket("/ws", dependencies=[requires("notifications:read")])
async def live(websocket: WebSocket, use: UseCasesDep) -> None:
    headers = websocket.headers
    # Behind the gateway the page's host is the forwarded one. A page can set neither header: browsers do not let it.
    hosts = frozenset(headers[name].lower() for name in ("host", "x-forwarded-host") if name in headers)
    with (
        session_of(websocket) as session,
        use.connect(current().tenant, headers.get("origin"), hosts, caller_of(websocket)) as conversation,
    ):
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
        await converse(websocket, conversation, session)


def caller_of(websocket: WebSocket) -> str:
    """Whose a connection is: of a key, a user, or, where nobody is named, an address, the one that the gateway saw
    where it vouches for the caller."""
    context = current()
    principal = context.principal
    if principal is None or not principal.named:
        seen = websocket.headers.get("x-forwarded-for", "") if context.principal_token is not None else ""
        peer = websocket.client.host if websocket.client is not None else ""
        return f"ip:{seen.rpartition(',')[2].strip() or peer}"
    if principal.key_id is not None:
        return api_key_key(principal.key_id)
    return user_key(principal.tenant, principal.subject)


@router.get(
    "/ws",
    dependencies=[requires("notifications:read")],
    status_code=426,
    response_class=Response,  # not JSON's, which FastAPI would document beside the problem
    summary="Live events, over a WebSocket",
    responses={
        426: {
            "description": "Upgrade Required: `http.426`. Come back with a WebSocket handshake",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    },
)
async def not_a_handshake() -> None:
    """Frames are `{"type","id","time","data"}`, one an event, after a `welcome`. See the service's README."""
    raise HTTPException(426, "this is a WebSocket: ws://…/ws", {"Upgrade": "websocket"})


async def converse(websocket: WebSocket, conversation: Conversation, session: Session) -> None:
    """Returns when the client has left or its line was closed: by us, because it takes no frames or has no manners,
    because its credential or the service ends. A frame that is stuck in the transport does not keep the line open."""
    line = conversation.line
    tasks = [
        asyncio.create_task(_write(websocket, line, conversation.manners.patience)),
        asyncio.create_task(_read(websocket, conversation)),
        asyncio.create_task(line.closed()),
        asyncio.create_task(_end_with(session, line)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
            raise result
    await _close(websocket, line)


async def _end_with(session: Session, line: Connection) -> None:
    over = await session.over()
    line.close(Closing(over.code, over.reason))


async def _write(websocket: WebSocket, line: Connection, patience: float) -> None:
    while (frame := await line.take()) is not None:
        try:
            async with asyncio.timeout(patience):
                await websocket.send_text(frame)
        except TimeoutError:
            line.close(TOO_SLOW)


async def _read(websocket: WebSocket, conversation: Conversation) -> None:
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        conversation.hear(message["bytes"] if text is None else text)


async def _close(websocket: WebSocket, line: Connection) -> None:
    if line.closing is None or websocket.client_state is WebSocketState.DISCONNECTED:
        return
    with suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(line.closing.code, line.closing.reason)
