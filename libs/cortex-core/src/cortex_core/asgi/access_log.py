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

        began, status, size, left, complete = self.monotonic(), 0, 0, False, False

        async def listening() -> Message:
            nonlocal left
            message = await receive()
            left = left or message["type"] == "http.disconnect"
            return message

        def counting(message: Message) -> Awaitable[None]:
            nonlocal status, size
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
            elif kind == "http.response.body":
                size += len(message.get("body", b""))
            ends = kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body"))
            return ending(message) if ends else send(message)

        async def ending(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = not left

        try:
            await self.app(scope, listening, counting)
        except asyncio.CancelledError:
            left = True
            raise
        finally:
            self._tell(
                ResponseDetails(
                    scope["method"],
                    scope["path"],
                    route_of(scope),
                    status or (_CLIENT_LEFT if left else 500),
                    self.monotonic() - began,
                    0 if scope["method"] == "HEAD" else size,
                    complete,
                )
            )

    def _tell(self, details: ResponseDetails) -> None:
        try:
            self.on_response(details)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the client its answer
            _log.exception("an access hook failed")


def route_of(scope: Scope) -> str:
    """The route's template: what a forwarding handler set as `cortex.route`, else what the router matched."""
    chosen = scope.get("cortex.route") or getattr(scope.get("route"), "path", None)
    return chosen if isinstance(chosen, str) and chosen else UNMATCHED
