"""`Cortex-Policy` on what the application answers. The express lane writes its own, by the same writer."""

from collections.abc import Awaitable
from typing import Final

from cortex_core.asgi.problems import HEADERS
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel import current
from cortex_gateway.domain import policy_header
from cortex_gateway.routes import OwnRoute, Route, RouteTable, own_route_of, route_of

_ANSWERS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class PolicyHeader:
    """The ASGI middleware: for paths of the table and the gateway's own with a scope, whatever the answer is, also to a
    WebSocket's handshake. `cache` is what `Cache-Status` calls us."""

    def __init__(self, app: ASGIApp, table: RouteTable, sockets: RouteTable, cache: str) -> None:
        self.app = app
        self.table = table
        self.sockets = sockets
        self.cache = cache.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(scope)
        if route is None:
            return await self.app(scope, receive, send)
        method, principal = scope.get("method", "GET"), current().principal
        auth = principal.method if principal is not None else "none"

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] in _ANSWERS:
                headers = list(message.get("headers", ()))
                said = next((value for name, value in headers if name == b"cache-status"), None)
                outcome = policy_header.cache_outcome(said, self.cache) if route.caching is not None else "none"
                rate = policy_header.counted_against(scope.get(HEADERS, ()))
                about = policy_header.policy_of(route, method, "asgi", auth, outcome, rate)
                kept = [each for each in headers if each[0] != policy_header.NAME]
                message = {**message, "headers": [*kept, (policy_header.NAME, about)]}
            return send(message)

        await self.app(scope, receive, sending)

    def _route(self, scope: Scope) -> Route | OwnRoute | None:
        if scope["type"] not in {"http", "websocket"}:
            return None
        route = route_of(scope, self.table, self.sockets)
        return own_route_of(scope["method"], scope["path"]) if route is None and scope["type"] == "http" else route
