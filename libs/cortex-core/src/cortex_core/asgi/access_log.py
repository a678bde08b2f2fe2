"""Access log: one frozen record a response, handed to a hook. Refuses to know where it goes: log, metric, both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED = "unmatched"  # one route for all unknown paths: a scanner must not be able to mint metrics


@dataclass(frozen=True, slots=True)
class ResponseDetails:
    """What happened. `route` is the template (`/orders/{orderId}`), `duration` seconds until the last byte was handed
    over, `status` 499 where the client left before an answer began (nginx's convention), `size` the body's bytes."""

    method: str
    path: str
    route: str
    status: int
    duration: float
    size: int


class AccessLog:
    """`on_response` is called once a request, also when the application raised (status 500)."""

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

        began, status, size = self.monotonic(), 0, 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        failed = False
        try:
            await self.app(scope, receive, counting)
        except Exception:
            failed = True
            raise
        finally:
            self.on_response(
                ResponseDetails(
                    method=scope["method"],
                    path=scope["path"],
                    route=route_of(scope),
                    status=status or (500 if failed else 499),
                    duration=self.monotonic() - began,
                    size=size,
                )
            )


def route_of(scope: Scope) -> str:
    """The route's template: what a forwarding handler set as `cortex.route`, else what the router matched."""
    chosen = scope.get("cortex.route") or getattr(scope.get("route"), "path", None)
    return chosen if isinstance(chosen, str) and chosen else UNMATCHED
