"""Problems: the one place where errors become HTTP (RFC 9457 `application/problem+json`).

Every error reaches the caller with a stable `code` and the trace's id; one that nobody meant to tell (a bug) says no
more than that, and its story goes to the log.
"""

from http import HTTPStatus
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Logger

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
    Kind.UNAVAILABLE: 503,
    Kind.TIMEOUT: 504,
}

_FROM_HTTP: Final = {404: "route.not-found", 405: "route.method-not-allowed", 400: "request.invalid"}
_UNPARSED: Final = "There was an error parsing the body"  # FastAPI's, of what is not even text
_RESERVED: Final = {"type", "title", "status", "detail", "instance", "code", "traceId"}
_BEGINNINGS: Final = {
    "http.response.start",
    "websocket.accept",
    "websocket.close",
    "websocket.http.response.start",
}
_MAX_ERRORS: Final = 20


class Problem(BaseModel):
    """RFC 9457 problem details, with a stable `code` and the id of the trace to look for in logs."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:cortex:problem:order.not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    instance: str = Field(examples=["/orders/ord_0192f5c0"])
    code: str = Field(examples=["order.not-found"])
    traceId: str | None = None  # noqa: N815 - camelCase is the wire's


class Answered(CortexError):
    """An error that came with a status of its own (the framework's), on its way to the same answer as ours."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.status = status
        self.code = code  # type: ignore[misc]  # of the instance: the framework's errors share one class


def respond(error: CortexError, path: str, headers: dict[str, str] | None = None) -> Response:
    """The answer to `error`."""
    status = error.status if isinstance(error, Answered) else STATUS[error.kind]
    context = current()
    body = {
        "type": f"urn:cortex:problem:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.message,
        "instance": path,
        "code": error.code,
        "traceId": context.trace.trace_id if context.trace else None,
        **{_camel(name): value for name, value in error.details.items() if name not in _RESERVED},
    }
    headers = dict(headers or {})
    if error.retry_after is not None or status in {429, 503}:
        headers["Retry-After"] = str(max(1, round(error.retry_after or 1)))
    return Response(orjson.dumps(body, default=str), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Every way an error can leave a route ends in `respond`."""

    @app.exception_handler(CortexError)
    async def ours(request: Request, error: CortexError) -> Response:
        return respond(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(_validation(error), request.url.path)

    @app.exception_handler(HTTPException)
    async def frameworks(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, CortexError):  # the framework wraps what reading the body raised
            return respond(error.__cause__, request.url.path)
        code = _FROM_HTTP.get(error.status_code, f"http.{error.status_code}")
        if error.detail == _UNPARSED:
            code = "request.malformed-json"
        answer = Answered(error.status_code, code, str(error.detail))
        return respond(answer, request.url.path, dict(error.headers or {}))


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    """The router's answer to an unknown path, for sockets too: the framework would only close those."""
    raise Answered(404, "route.not-found", "nothing is served here")


def _validation(error: RequestValidationError) -> CortexError:
    mistakes = error.errors()
    broken = next((each for each in mistakes if each["type"] == "json_invalid"), None)
    if broken is not None:
        reason = broken.get("ctx", {}).get("error", "")
        return Answered(400, "request.malformed-json", f"the body is not JSON: {reason}")
    errors = [
        {"pointer": _pointer(each["loc"]), "code": each["type"].replace("_", "-"), "message": each["msg"]}
        for each in mistakes[:_MAX_ERRORS]
    ]
    first = errors[0]
    return Answered(422, "request.invalid", f"{first['pointer']}: {first['message']}", errors=errors)


def _pointer(location: tuple[Any, ...]) -> str:
    """`("body", "items", 0, "sku")` → `#/items/0/sku` (RFC 6901 as a fragment); other places keep their name."""
    place, *rest = location
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in rest]
    return "#" + "".join(f"/{part}" for part in parts) if place == "body" else "/".join([str(place), *parts])


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class Problems:
    """The outermost net: what middleware raised, and what nobody expected, becomes an answer if none has begun."""

    def __init__(self, app: ASGIApp, logger: Logger) -> None:
        self.app = app
        self.logger = logger

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
                raise  # the server closes the connection: a truncated body must not end well
            await respond(error, scope["path"])(scope, receive, send)
        except Exception as error:
            self.logger.exception("unhandled error", path=scope["path"], error=type(error).__name__)
            if begun:
                raise
            await respond(CortexError("something went wrong here; the log has the story"), scope["path"])(
                scope, receive, send
            )
