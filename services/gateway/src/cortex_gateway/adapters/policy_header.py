"""`Cortex-Policy` on what the application answers. The express lane writes its own, by the same writer."""

from collections.abc import Awaitable

from cortex_core.asgi.problems import HEADERS
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel import current
from cortex_gateway.domain import policy_header
from cortex_gateway.routes import MethodNotAllowed, RouteNotFound, RouteTable


class PolicyHeader:
    """The ASGI middleware: for paths of the table, whatever the answer is. `cache` is what `Cache-Status` calls us."""

    def __init__(self, app: ASGIApp, table: RouteTable, cache: str) -> None:
        self.app = app
        self.table = table
        self.cache = cache.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            route = self.table.find(scope["method"], scope["path"])
        except (RouteNotFound, MethodNotAllowed):
            return await self.app(scope, receive, send)
        method, principal = scope["method"], current().principal
        auth = principal.method if principal is not None else "none"

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                said = next((value for name, value in headers if name == b"cache-status"), None)
                outcome = policy_header.cache_outcome(said, self.cache) if route.caching is not None else "none"
                rate = policy_header.counted_against(scope.get(HEADERS, ()))
                about = policy_header.policy_of(route, method, "asgi", auth, outcome, rate)
                kept = [each for each in headers if each[0] != policy_header.NAME]
                message = {**message, "headers": [*kept, (policy_header.NAME, about)]}
            return send(message)

        await self.app(scope, receive, sending)
