"""Body limit: a request whose body is larger than its route allows is refused: before a byte of it is read where its
length is declared, and at the first byte too many where it is not. Where nobody reads the body, nobody minds it."""

from collections.abc import Mapping
from typing import Any

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send, header
from cortex_core.kernel.errors import CortexError, Kind


class RequestTooLarge(CortexError):
    """The body is larger than this route takes. `limit` is in bytes."""

    code, kind = "request.too-large", Kind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes allowed here", limit=limit)


class BodyLimit:
    """`limits` maps a path prefix to its limit in bytes; the longest matching prefix decides, else `default`.

    Raises RequestTooLarge through the application: what is outside turns it into an answer.
    """

    def __init__(self, app: ASGIApp, *, default: int, limits: Mapping[str, int] | None = None) -> None:
        if default <= 0 or any(limit <= 0 for limit in (limits or {}).values()):
            raise ValueError("a body limit must be positive")
        self.app = app
        self.default = default
        self.limits = sorted((limits or {}).items(), key=lambda item: -len(item[0]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        limit = self._limit(scope["path"])
        declared = header(scope["headers"], b"content-length")
        if declared is not None and declared.isascii() and declared.isdigit() and int(declared) > limit:
            return await self.app(scope, self._refusing(limit), send)
        await self.app(scope, self._counted(receive, limit), send)

    def _limit(self, path: str) -> int:
        for prefix, limit in self.limits:
            if path.startswith(prefix):
                return limit
        return self.default

    @staticmethod
    def _refusing(limit: int) -> Receive:
        """Raised where the body is read: by then the route is known, and the answer is counted as its own."""

        async def refusing() -> Message:
            raise RequestTooLarge(limit)

        return refusing

    @staticmethod
    def _counted(receive: Receive, limit: int) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message: dict[str, Any] | Message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise RequestTooLarge(limit)
            return message

        return counted
