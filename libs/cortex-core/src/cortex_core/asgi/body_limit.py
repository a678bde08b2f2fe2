"""Body limit: a request whose body is larger than its route allows is refused: before a byte of it is read where its
length is declared, and at the first byte too many where it is not. Where nobody reads the body, nobody minds it.

A length that cannot be believed is refused at once (RFC 9112, section 6.3): two that we and somebody before us read
differently are how requests are smuggled.
"""

from collections.abc import Callable, Mapping
from typing import Final

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.prefixes import Prefixes
from cortex_core.asgi.types import ASGIApp, Headers, Message, Receive, Scope, Send, all_of
from cortex_core.kernel.errors import CortexError, Kind

_DIGITS: Final = 19  # 2⁶³ has as many: no body does


class RequestTooLarge(CortexError):
    """The body is larger than this route takes. `limit` is in bytes."""

    code, kind = "request.too-large", Kind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes allowed here", limit=limit)


class BadLength(CortexError):
    """What the headers say of the body's length is no number, or more than one thing."""

    code, kind = "request.bad-length", Kind.INVALID


class BodyLimit:
    """`limits` maps a path prefix to its limit in bytes, by whole segments; the longest decides, else `default`. `of`
    is asked before: for whom a prefix says too little, who has a table of methods and paths; None: it does not know.

    Raises RequestTooLarge where the application reads the body (by then the route is known, and the answer is counted
    as its own), and BadLength before it is called: what is outside turns them into answers. Raises ValueError for a
    limit that is no whole number from 1 and a prefix that does not begin with `/`. Sockets pass: their server bounds
    messages.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        default: int,
        limits: Mapping[str, int] | None = None,
        of: Callable[[Scope], int | None] | None = None,
    ) -> None:
        check_whole("default", default, unit="bytes")
        for prefix, limit in (limits or {}).items():
            check_whole(f"limits: {prefix}", limit, unit="bytes")
        self.app = app
        self._limits = Prefixes(limits or {}, default)
        self._of = of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        limit = self._of(scope) if self._of is not None else None
        if limit is None:
            limit = self._limits.of(scope["path"])
        if _declared(scope["headers"]) > limit:
            return await self.app(scope, _refusing(limit), send)
        await self.app(scope, _counted(receive, limit), send)


def _declared(headers: Headers) -> int:
    """What `Content-Length` says, in bytes; 0 where it says nothing. Raises BadLength."""
    lengths = all_of(headers, b"content-length")
    if not lengths:
        return 0
    if len(lengths) > 1:
        raise BadLength("there is more than one Content-Length")
    length = lengths[0]
    if not (length.isascii() and length.isdigit()):
        raise BadLength("Content-Length is not a number")
    if all_of(headers, b"transfer-encoding"):
        raise BadLength("there is a Content-Length beside a Transfer-Encoding")
    return int(length.lstrip("0")[: _DIGITS + 1] or "0")


def _refusing(limit: int) -> Receive:
    async def refusing() -> Message:
        raise RequestTooLarge(limit)

    return refusing


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise RequestTooLarge(limit)
        return message

    return counted
