"""Problems: the one place where errors become HTTP (RFC 9457 `application/problem+json`).

Owns the table from a kind to a status. Every error reaches the caller with a stable `code` and the trace's id; one that
nobody meant to tell (a bug) says no more than that, and its story goes to a hook. Refuses to know frameworks: the
chassis builds its handlers on `problem`.

An error may carry headers of its answer (`Allow`, `Accept-Encoding` on 415, what a limiter tells): any CortexError with
an attribute `response_headers: Mapping[str, str]`, of the class or of the instance. No cog needs to import this one.
"""

import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError, Kind

_log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[dict[Kind, int]] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION_FAILED: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED_MEDIA: 415,
    Kind.UNPROCESSABLE: 422,
    Kind.RATE_LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.MALFORMED: 502,
    Kind.UNAVAILABLE: 503,
    Kind.TIMEOUT: 504,
}

_RENAMED: Final = {  # since RFC 9110; Python's own have these names from 3.13 on
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_RESERVED: Final = frozenset({"type", "title", "status", "detail", "instance", "code", "traceId"})
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, section 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # section 5.5: a line's end in here would begin a header
_OURS: Final = frozenset({b"content-type", b"content-length"})
_LONGEST: Final = 2**31 - 1  # seconds: what every client can hold
_BEGINNINGS: Final = frozenset(
    {"http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start"}
)
HEADERS: Final = "cortex.headers"
"""Where in the scope middleware within leaves headers (pairs of bytes) for whatever answer a request gets, an error's
too: what a limiter tells."""
_REFUSED: Final = 1008  # RFC 6455, section 7.4.1; before the handshake a server makes it a 403


class Answered(CortexError):
    """An error that came with a status of its own (a framework's), on its way to the same answer as ours."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.status = status
        self.code = code  # type: ignore[misc]  # of the instance: the framework's errors share one class


class Answer(NamedTuple):
    """What to send: names of headers are in lower case, as ASGI wants them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def problem(error: CortexError, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to `error`, raised at `path`. Never raises itself.

    `headers` go out beside the error's own and win over them. `Retry-After` (whole seconds, rounded up, at least 1)
    is there with 429 and 503, and wherever the error knows. A header that cannot be sent as it is, is left out, and so
    are details that cannot be written as JSON.
    """
    status = error.status if isinstance(error, Answered) else STATUS[error.kind]
    trace = current().trace
    members = {
        "type": f"urn:cortex:problem:{error.code}",
        "title": phrase_of(status) or "Error",  # a framework's error may have any number
        "status": status,
        "detail": error.message,
        "instance": path,
        "code": error.code,
        "traceId": trace.trace_id if trace else None,
    }
    body = _json(members, error.details)
    fields = {b"content-type": MEDIA_TYPE.encode(), b"content-length": str(len(body)).encode()}
    if error.retry_after is not None or status in {429, 503}:
        fields[b"retry-after"] = _seconds(error.retry_after)
    fields.update(_fields(getattr(error, "response_headers", None)))
    fields.update(_fields(headers))
    return Answer(status, list(fields.items()), body)


def log_error(scope: Scope, error: Exception) -> None:
    """The default of `on_error`: the story goes to the standard library's log."""
    _log.error("unhandled %s at %s", type(error).__name__, scope["path"], exc_info=error)


class Problems:
    """The outer net: what middleware raised, and what nobody expected, becomes an answer if none has begun.

    `on_error` hears of what nobody expected, also where an answer has begun; that is then raised on, so that the server
    closes the connection: a truncated body must not end well. A socket is refused before its handshake, with the same
    body where the server can (ASGI's extension `websocket.http.response`).
    """

    def __init__(self, app: ASGIApp, on_error: Callable[[Scope, Exception], None] = log_error) -> None:
        self.app = app
        self.on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] in _BEGINNINGS
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except CortexError as error:
            if begun:
                raise
            await self._answer(error, scope, send)
        except Exception as error:
            self._tell(scope, error)
            if begun:
                raise
            unknown = CortexError("something went wrong here; the log has the story")
            await self._answer(unknown, scope, send)

    @staticmethod
    async def _answer(error: CortexError, scope: Scope, send: Send) -> None:
        status, headers, body = problem(error, scope["path"])
        await send_answer(Answer(status, [*headers, *scope.get(HEADERS, ())], body), scope, send)

    def _tell(self, scope: Scope, error: Exception) -> None:
        try:
            self.on_error(scope, error)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost the caller its answer
            _log.exception("an error hook failed")


async def refuse(error: CortexError, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's
    """Answers a request, or a socket's handshake, with `error`: for middleware that does not leave it to `Problems`."""
    await send_answer(problem(error, scope["path"]), scope, send)


async def send_answer(answer: Answer, scope: Scope, send: Send) -> None:
    """Sends `answer` whole, as the answer to a request or, before it is accepted, to a socket's handshake."""
    prefix = ""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            return await send({"type": "websocket.close", "code": _REFUSED, "reason": ""})
        prefix = "websocket."
    await send({"type": f"{prefix}http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": f"{prefix}http.response.body", "body": answer.body, "more_body": False})


def phrase_of(status: int) -> str:
    """What RFC 9110 calls it; empty for a number that has no name."""
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def _seconds(retry_after: float | None) -> bytes:
    if retry_after is None or math.isnan(retry_after):
        return b"1"
    return str(math.ceil(min(max(retry_after, 1.0), _LONGEST))).encode()


def _fields(headers: Mapping[str, str] | None) -> dict[bytes, bytes]:
    texts = ((name, str(value)) for name, value in (headers or {}).items())  # a number is easily forgotten
    return {
        name.lower().encode(): value.encode("latin-1")
        for name, value in texts
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value) and name.lower().encode() not in _OURS
    }


def _json(members: dict[str, Any], details: Mapping[str, Any]) -> bytes:
    more = {_camel(name): value for name, value in details.items()}
    more = {name: value for name, value in more.items() if name not in _RESERVED}
    try:
        text = json.dumps(members | more, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, NaN, a circle
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair becomes \udc80: JSON's escape as well


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
