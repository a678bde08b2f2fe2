"""Problems under FastAPI: every way an error can leave a route ends in the answer that `asgi/problems.py` gives.

Owns what the framework's own errors are called. The table of statuses, and the answer itself, are the cog's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Mount

from cortex_core.asgi.problems import MEDIA_TYPE, STATUS, Answered, problem
from cortex_core.asgi.types import Receive, Scope, Send
from cortex_core.kernel.errors import CortexError
from cortex_core.observability import Logger

__all__ = ["MEDIA_TYPE", "STATUS", "Answered", "Problem", "install", "not_found", "respond", "told_to"]

_FROM_HTTP: Final = {404: "route.not-found", 405: "route.method-not-allowed", 400: "request.invalid"}
_UNPARSED: Final = "There was an error parsing the body"  # FastAPI's, of what is not even text
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


def respond(error: CortexError, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to `error`, as the framework wants it. `headers` win over those that the error carries."""
    status, fields, body = problem(error, path, headers)
    response = Response(body, status)
    response.raw_headers = fields
    return response


def told_to(logger: Logger) -> Callable[[Scope, Exception], None]:
    """The hook of `asgi.Problems`: what nobody expected is a line in the log, with its traceback."""

    def tell(scope: Scope, error: Exception) -> None:
        logger.exception("unhandled error", path=scope["path"], error=type(error).__name__)  # noqa: LOG004 - inside one

    return tell


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
        if error.status_code == 405:
            allow = {"Allow": _served(app, request)}
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=allow)
            return respond(Answered(405, _FROM_HTTP[405], str(error.detail)), request.url.path, allow)
        code = _FROM_HTTP.get(error.status_code, f"http.{error.status_code}")
        if error.detail == _UNPARSED:
            code = "request.malformed-json"
        answer = Answered(error.status_code, code, str(error.detail))
        return respond(answer, request.url.path, dict(error.headers or {}))


def _served(app: FastAPI, request: Request) -> str:
    """The methods of a path (RFC 9110, section 10.2.1). The framework names those of one route of it, and HEAD is
    served wherever GET is. What is mounted are files."""
    routes = [route for route in app.router.routes if not isinstance(route, Mount)]
    served = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    } or {"GET"}
    return ", ".join(sorted({*served, "OPTIONS", *(["HEAD"] if "GET" in served else [])}))


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
