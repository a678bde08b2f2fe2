"""Decompression: a request's encoded body reaches the application decoded, piece by piece, and never more than `limit`.

The bound holds at every stage, what comes in and what stands between two codings, too: a bomb costs what one piece
costs. Refuses what is cut short, garbled or followed by something. Next: `BodyLimit` inside counts decoded bytes by
route.
"""

from collections.abc import Iterator
from typing import Final

from cortex_core.asgi.body_limit import RequestTooLarge
from cortex_core.asgi.bounds import check_positive, check_whole
from cortex_core.asgi.compression.decoders import Decoder, Garbled, installed_decoders
from cortex_core.asgi.compression.threads import in_thread
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.errors import CortexError, Kind

_MOST: Final = 2  # codings on top of one another: nobody has a reason for more
_ALIASES: Final = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_INLINE: Final = 128 * 1024  # bytes of one message, in or out: beyond, its decoding leaves the loop
_DESCRIBING: Final = frozenset({b"content-encoding", b"content-length"})
_RATIO_FROM: Final = 1 << 20  # bytes decoded: below, no ratio is a threat


class BadEncoding(CortexError):
    """The body is not what its Content-Encoding says, or not all of it."""

    code, kind = "request.bad-encoding", Kind.INVALID


class UnsupportedEncoding(CortexError):
    """A coding that is not decoded here, or too many. `response_headers` go out with the answer (RFC 9110, 15.5.16)."""

    code, kind = "request.unsupported-encoding", Kind.UNSUPPORTED_MEDIA

    def __init__(self, message: str, accepted: tuple[str, ...]) -> None:
        super().__init__(message, accepted=list(accepted))
        self.response_headers = {"Accept-Encoding": ", ".join(accepted)}


class Decompression:
    """The application sees a body without coding: no Content-Encoding, no Content-Length.

    `limit` is in bytes, decoded; the encoded body may have twice as many. `ratio`, where given, refuses a body that,
    past its first MiB, is more than `ratio` times as large as what came in. Raises, where the body is read,
    RequestTooLarge, BadEncoding or UnsupportedEncoding; at construction ValueError for a `limit` or `ratio` that is no
    number above 0.
    """

    def __init__(self, app: ASGIApp, *, limit: int, ratio: float | None = None) -> None:
        check_whole("limit", limit, unit="bytes")
        if ratio is not None:
            check_positive("ratio", ratio)
        self.app = app
        self._limit = limit
        self._ratio = ratio
        self._decoders = installed_decoders()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        codings = _codings(scope) if scope["type"] == "http" else ()
        if not codings:
            return await self.app(scope, receive, send)

        unknown = [coding for coding in codings if coding not in self._decoders]
        if unknown or len(codings) > _MOST:
            what = f"{unknown[0][:40]!r} is not decoded here" if unknown else f"{len(codings)} codings are too many"
            return await self.app(scope, self._refusing(what), send)
        scope["headers"] = [item for item in scope["headers"] if item[0] not in _DESCRIBING]
        stages = [self._decoders[coding]() for coding in reversed(codings)]
        await self.app(scope, Incoming(stages, receive, self._limit, self._ratio).receive, send)

    def _refusing(self, what: str) -> Receive:
        """Raised where the body is read, as BodyLimit does: by then the route is known."""

        async def refusing() -> Message:
            raise UnsupportedEncoding(what, tuple(self._decoders))

        return refusing


def _codings(scope: Scope) -> tuple[str, ...]:
    """The codings in the order in which they were applied; `identity` is none."""
    values = b",".join(value for name, value in scope["headers"] if name == b"content-encoding")
    names = (name.strip().lower() for name in values.decode("latin-1").split(","))
    return tuple(_ALIASES.get(name, name) for name in names if name not in {"", "identity"})


class Incoming:
    """One request's body. `stages` are the decoders, the outermost coding's first."""

    def __init__(self, stages: list[Decoder], receive: Receive, limit: int, ratio: float | None) -> None:
        self._stages = stages
        self._receive = receive
        self._limit = limit
        self._ratio = ratio
        self._sizes = [0] * (len(stages) + 1)  # bytes in, after the first stage, …, decoded
        self._pieces: Iterator[bytes] = iter(())
        self._spent = 0  # bytes of the message in hand that were taken or made on the loop
        self._last = self._over = False

    async def receive(self) -> Message:
        while not self._over:
            piece = await self._next_piece()
            if piece is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            if self._last:
                self._finish()
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._take(message)
        return await self._receive()

    def _take(self, message: Message) -> None:
        data = message.get("body", b"")
        self._last = not message.get("more_body", False)
        self._spent = len(data)
        self._pieces = self._decoded(self._count(0, data), 0)

    async def _next_piece(self) -> bytes | None:
        try:
            if self._spent <= _INLINE:
                piece = next(self._pieces, None)
            else:
                piece = await in_thread(next, self._pieces, None)
        except Garbled as error:
            raise BadEncoding(f"the body is not what its Content-Encoding says: {error}") from error
        self._spent += len(piece or b"")
        return piece

    def _decoded(self, data: bytes, stage: int) -> Iterator[bytes]:
        if stage == len(self._stages):
            yield data
            return
        for piece in self._stages[stage].feed(data):
            yield from self._decoded(self._count(stage + 1, piece), stage + 1)

    def _count(self, stage: int, data: bytes) -> bytes:
        self._sizes[stage] += len(data)
        size, decoded = self._sizes[stage], stage == len(self._stages)
        if size > (self._limit if decoded else 2 * self._limit):
            raise RequestTooLarge(self._limit)
        if decoded and self._ratio is not None and size > max(_RATIO_FROM, self._ratio * self._sizes[0]):
            raise RequestTooLarge(max(_RATIO_FROM, int(self._ratio * self._sizes[0])))
        return data

    def _finish(self) -> None:
        self._over = True
        if not self._sizes[0]:  # nothing at all is an empty body in any coding
            return
        try:
            for stage in self._stages:
                stage.finish()
        except Garbled as error:
            raise BadEncoding(f"the body is not what its Content-Encoding says: {error}") from error
