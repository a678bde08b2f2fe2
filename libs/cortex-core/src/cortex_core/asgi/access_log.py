"""Access log: one frozen record a response, handed to a hook. Refuses to know where it goes: log, metric, both."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

UNMATCHED: Final = "unmatched"  # one route for all unknown paths: a scanner must not be able to mint metrics

_CLIENT_LEFT: Final = 499


class ResponseDetails(NamedTuple):
    """What happened. `route` is the template (`/orders/{orderId}`), `duration` seconds until the last byte was handed
    over, `status` 499 where the client left before an answer began (nginx's convention) and 500 where none came, `size`
    the bytes of the body (a file that the server was told to send by itself is not counted). `complete` is false where
    the body did not come to its end, or the client had left before that: the status alone does not tell."""

    method: str
    path: str
    route: str
    status: int
    duration: float
    size: int
    complete: bool


class Watched:
    """One answer, watched on its way: `receive` and `send` stand in for the server's. `status` is 0 until it begins."""

    __slots__ = ("_receive", "_send", "_size", "complete", "left", "status")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.status = self._size = 0
        self.left = self.complete = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        kind = message["type"]
        if kind == "http.response.body":
            self._size += len(message.get("body", b""))
            return self._send(message) if message.get("more_body") else self._end(message)
        if kind == "http.response.start":
            self.status = message["status"]
        return self._end(message) if kind == "http.response.pathsend" else self._send(message)

    async def _end(self, message: Message) -> None:
        await self._send(message)
        self.complete = not self.left

    def details(self, scope: Scope, seconds: float) -> ResponseDetails:
        """What happened so far, after so many seconds."""
        method = scope["method"]
        status = self.status or (_CLIENT_LEFT if self.left else 500)
        size = 0 if method == "HEAD" else self._size
        return ResponseDetails(method, scope["path"], route_of(scope), status, seconds, size, self.complete)


class AccessLog:
    """`on_response` is called once a request, also when the application raised. If it raises itself, that is logged
    and changes nothing. Sockets pass: they may last for days."""

    def __init__(
        self,
        app: ASGIApp,
        on_response: Callable[[ResponseDetails], None],
        *,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.on_response = on_response
        self.monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        watched, began = Watched(receive, send), self.monotonic()
        try:
            await self.app(scope, watched.receive, watched.send)
        except asyncio.CancelledError:
            watched.left = True
            raise
        finally:
            tell(self.on_response, watched.details(scope, self.monotonic() - began))


def tell(on_response: Callable[[ResponseDetails], None], details: ResponseDetails) -> None:
    """Calls the hook. Never raises."""
    try:
        on_response(details)
    except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the client its answer
        _log.exception("an access hook failed")


def route_of(scope: Scope) -> str:
    """The route's template: what a forwarding handler set as `cortex.route`, else what the router matched."""
    chosen = scope.get("cortex.route") or getattr(scope.get("route"), "path", None)
    return chosen if isinstance(chosen, str) and chosen else UNMATCHED
