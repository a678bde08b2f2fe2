"""What an operation can be answered with through the gateway: every status and field that may be seen.

Owns the gateway's own part, by status and code. What the service itself answers is in its document, and stays.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, Protocol

from cortex_core.asgi.problems import phrase_of

Document = dict[str, Any]

GUARDS: Final[Mapping[int, tuple[str, ...]]] = {  # before anything else, by the server (chassis.http_protocol)
    400: ("http.bad-request", "http.bad-host", "http.bad-target", "http.bad-framing", "http.bad-upgrade"),
    408: ("http.head-timeout", "http.body-timeout"),
    414: ("http.target-too-long",),
    417: ("http.expectation-failed",),
    421: ("http.host-not-served",),
    429: ("http.too-many-pipelined",),
    431: ("http.head-too-large", "http.too-many-headers"),
    501: ("http.coding-not-implemented", "http.method-not-implemented"),
    503: ("http.too-many-connections",),
    505: ("http.version-not-supported",),
}
SOCKET_GUARDS: Final = {403: ("http.upgrade-refused",), 503: ("http.upgrade-timeout",)}
_ALWAYS: Final[Mapping[int, tuple[str, ...]]] = {
    400: ("tenant.unknown", "request.bad-length"),
    406: ("response.not-acceptable",),
    413: ("request.too-large",),
    500: ("internal",),
    504: ("deadline.exceeded",),
}
_LIMITED: Final = {429: ("rate-limit.exceeded",)}
_AUTHORISED: Final[Mapping[int, tuple[str, ...]]] = {
    400: ("auth.ambiguous",),
    401: ("auth.required", "auth.invalid-credential"),
    403: ("auth.insufficient-scope",),
    429: ("rate-limit.exceeded",),
    503: ("auth.unavailable",),
}
_OF_PAGES: Final = {403: ("request.foreign-page",)}
_FORWARDED: Final = {502: ("upstream.malformed",), 503: ("upstream.unavailable",), 504: ("upstream.timeout",)}
_BY_THE_CACHE: Final = {
    416: ("request.range-not-satisfiable",),
    503: ("http-cache.failed",),
    504: ("http-cache.not-cached", "http-cache.timeout"),
}
_UNDECODABLE: Final = {404: ("route.not-found",)}  # `.` and `..` in the place of a parameter
_KEPT: Final[Mapping[int, str]] = {  # what a cache answers by itself
    206: "The part that `Range` asked for",
    304: "`If-None-Match` or `If-Modified-Since` names what there is",
}
_UNLIMITED: Final = ("/health", "/metrics")
PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

HEADERS: Final[Mapping[str, Document]] = {
    "X-Request-Id": {"description": "The request's id, in logs and on its way", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "What the caller may ask, and in which time", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of that, and until when", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"description": "How to say who you are (RFC 6750)", "schema": {"type": "string"}},
    "Cache-Status": {"description": "What the gateway's cache did (RFC 9211)", "schema": {"type": "string"}},
    "Age": {"description": "Seconds that the answer was kept", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "ETag": {"description": "The representation's tag (RFC 9110)", "schema": {"type": "string"}},
}
"""Fields that the gateway adds, as components."""


class Forwarded(Protocol):
    """What is read of a route of the table."""

    @property
    def path(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def requires(self) -> str | None: ...
    @property
    def caching(self) -> object | None: ...


def own_operation(path: str, operation: Document) -> Document:
    """One of the gateway's own."""
    described = deepcopy(operation)
    parts = [GUARDS, _ALWAYS, *([] if path.startswith(_UNLIMITED) else [_LIMITED])]
    if operation.get("security"):
        parts.append(_AUTHORISED)
    _answered(described, parts)
    return described


def forwarded_operation(route: Forwarded, operation: Document, method: str, *, anonymous: bool) -> Document:
    """One of a service's, as it is reached by `route`. `anonymous`: it serves who says nothing of himself, too."""
    described = deepcopy(operation)
    described["tags"] = [str(route.service)]
    if "operationId" in operation:
        described["operationId"] = f"{route.service}_{operation['operationId']}"
    parts = [GUARDS, _ALWAYS, _LIMITED, _FORWARDED, *([_UNDECODABLE] if "{" in route.path else [])]
    if route.requires is not None:
        described["security"] = security_of(route.requires, anonymous=anonymous)
        parts.append(_AUTHORISED)
        if anonymous and method not in {"get", "head"}:
            parts.append(_OF_PAGES)
    if route.caching is not None:
        _kept(described)
        parts.append(_BY_THE_CACHE)
    _answered(described, parts)
    return described


def socket_operation(route: Forwarded, *, anonymous: bool) -> Document:
    """A WebSocket: what is seen of it is a GET that asks for an upgrade."""
    described: Document = {
        "tags": [str(route.service)],
        "summary": "A WebSocket (RFC 6455)",
        "operationId": f"{route.service}_socket_{route.path.strip('/').replace('/', '_')}",
        "description": "A credential goes into `Authorization`, or into a subprotocol: `cortex.bearer.<credential>`.",
        "x-websocket": True,
        "responses": {
            "101": {"description": "Switching Protocols: frames of JSON follow, `{type, id, time, data}`"},
            "426": {
                "description": "Upgrade Required: `request.upgrade-required`",
                "content": PROBLEM,
            },
        },
    }
    parts = [GUARDS, SOCKET_GUARDS, _ALWAYS, _LIMITED, _FORWARDED, {404: ("upstream.socket-refused",)}]
    if route.requires is not None:
        described["security"] = security_of(route.requires, anonymous=anonymous)
        parts.append(_AUTHORISED)
    _answered(described, parts)
    return described


def security_of(scope: str, *, anonymous: bool) -> list[Document]:
    """Either credential, with that scope."""
    return [{"bearer": [scope]}, {"apiKey": [scope]}, *([{}] if anonymous else [])]


def _kept(operation: Document) -> None:
    responses = operation["responses"]
    for status, about in _KEPT.items():
        told: Document = {"description": about}
        if status == 206 and "content" in responses.get("200", {}):
            told["content"] = {media: {} for media in responses["200"]["content"]}  # a part of it, whatever that is
        responses.setdefault(str(status), told)
    for answer in ("200", "206", "304"):
        if answer in responses:
            _with_fields(responses[answer], ("ETag", "Age", "Cache-Status"))


def _answered(operation: Document, parts: Iterable[Mapping[int, tuple[str, ...]]]) -> None:
    responses = operation.setdefault("responses", {})
    codes: dict[int, list[str]] = {}
    for part in parts:
        for status, more in part.items():
            codes.setdefault(status, []).extend(more)
    for status, listed in codes.items():
        _told(responses, status, listed)
    limited = any("rate-limit.exceeded" in listed for listed in codes.values())
    for answer, response in responses.items():
        _with_fields(response, ("X-Request-Id", *(("RateLimit-Policy", "RateLimit") if limited else ())))
        if answer in {"429", "503"}:
            _with_fields(response, ("Retry-After",))
        if answer == "401":
            _with_fields(response, ("WWW-Authenticate",))
    operation["responses"] = dict(sorted(responses.items()))


def _told(responses: Document, status: int, codes: list[str]) -> None:
    """The service's own word on a status comes first; a body of another kind than problems stays possible."""
    known = responses.setdefault(str(status), {"description": phrase_of(status)})
    said = known.get("description", "")
    new = [f"`{code}`" for code in dict.fromkeys(codes) if f"`{code}`" not in said]
    if new:
        known["description"] = said + (", " if "`" in said else ": ") + ", ".join(new)
    known["content"] = {**PROBLEM, **known.get("content", {})}


def _with_fields(response: Document, names: Iterable[str]) -> None:
    known = {name.lower() for name in response.get("headers", {})}
    more = {name: {"$ref": f"#/components/headers/{name}"} for name in names if name.lower() not in known}
    if more:
        response["headers"] = {**response.get("headers", {}), **more}
