"""Nobody's work is not begun: where whoever asked has left already, by `X-Request-Deadline`, the answer is a 504."""

from cortex_core.asgi.types import ASGIApp, Receive, Scope, Send
from cortex_core.resilience import check_deadline


class OnTime:
    """Raises DeadlineExceeded where the context's deadline has passed; stands behind what may have taken time."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            check_deadline()
        await self.app(scope, receive, send)
