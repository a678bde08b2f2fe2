"""What a request leaves behind: one span, two metrics, one log line, under the same names in every service."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import NamedTuple

import orjson

from cortex_core.asgi import ResponseDetails
from cortex_core.asgi.access_log import Watched, route_of, tell
from cortex_core.asgi.types import ASGIApp, Receive, Scope, Send
from cortex_core.kernel.context import Context, TraceContext, current, enter, leave, use_context
from cortex_core.observability import Counter, Logger, MetricsCollector, Span, Tracer
from cortex_core.observability.redaction import scrub

_QUIET = ("/health", "/metrics")  # probes ask every few seconds: their line is for debugging only
_MAX_KINDS = 1024  # methods are the client's words
_PLAIN = re.compile(r"[A-Za-z0-9/._~{}-]*", re.ASCII).fullmatch  # no escape in it, nor any credential but a key
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestTelemetry:
    """A server span a request, child of the caller's, within which context and logs carry its ids; and at its end
    `on_response` hears of it, once (`asgi.AccessLog` has what that means).

    In one frame, and without a span where nobody would see it: both are most of what a request's telemetry costs."""

    def __init__(self, app: ASGIApp, tracer: Tracer, on_response: Callable[[ResponseDetails], None]) -> None:
        self.app = app
        self.tracer = tracer
        self.on_response = on_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        context, method = current(), scope["method"]
        place = self.tracer.place(context.trace)
        span = self._begin(place, context, method) if self.tracer.records(place) else None
        token = enter(context.at(place if span is None else span.context))
        watched, began = Watched(receive, send), time.perf_counter()
        try:
            await self.app(scope, watched.receive, watched.send)
        except BaseException as error:
            watched.left = watched.left or isinstance(error, asyncio.CancelledError)
            if span is not None:
                span.failed(error)
            raise
        finally:
            tell(self.on_response, watched.details(scope, time.perf_counter() - began))
            if span is not None:
                self._end(span, route_of(scope), method, watched.status)
            leave(token)

    def _begin(self, place: TraceContext, context: Context, method: str) -> Span:
        attributes = {"http.request.method": method, "cortex.tenant": context.tenant}
        if context.principal is not None and context.principal.named:
            attributes["cortex.principal"] = context.principal.subject
            if context.principal.key_id is not None:
                attributes["cortex.principal_key"] = context.principal.key_id
        parent, trace_id = context.trace, int(place.trace_id, 16)
        return self.tracer.begin(method, kind="server", attributes=attributes, parent=parent, trace_id=trace_id)

    @staticmethod
    def _end(span: Span, route: str, method: str, status: int) -> None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.end()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A connection can last for days and has no span, only a trace that its lines and refusals carry."""
        with use_context(trace=current().trace or TraceContext.new(sampled=False)):
            await self.app(scope, receive, send)


class RequestMetrics:
    """The hook of `asgi.AccessLog`: counts, measures, and writes the access line."""

    def __init__(self, service: str, metrics: MetricsCollector, logger: Logger) -> None:
        labels = ("service", "method", "route", "status")
        self._service = service
        self._lines = {level: logger.lines(level, "request") for level in ("debug", "info")}
        self._kinds: dict[tuple[str, str, int], _Kind] = {}
        self._requests = metrics.create_counter("cortex_hub_http_requests_total", "HTTP requests", labels)
        self._seconds = metrics.create_histogram(
            "cortex_hub_http_request_duration_seconds", "HTTP request duration in seconds", labels=labels
        )

    def bound(self, method: str, route: str, status: int, *counters: Counter) -> Callable[[float], None]:
        """What counts one request that took so many seconds, there and in `counters`, looked up once."""
        labels = {
            "service": self._service,
            "method": method if method in _METHODS else "OTHER",
            "route": route,
            "status": str(status),
        }
        return self._seconds.labels(**labels).tally(self._requests.labels(**labels), *counters).observe

    def __call__(self, details: ResponseDetails) -> None:
        method, path, route, status, seconds, size, complete = details
        kind = self._kinds.get((method, route, status))
        if kind is None:
            kind = self._kind(method, route, status)
        kind.counted(seconds)
        lines = self._lines["debug" if path.startswith(_QUIET) else "info"]
        if lines.heard:
            who, ended = _surroundings(current()), "true" if complete else "false"
            line = f'{who}"method":{kind.method},"path":{_text(path)}{kind.about}{seconds * 1000:.3f},"bytes":{size}'
            lines.write(f'{line},"complete":{ended}')

    def _kind(self, method: str, route: str, status: int) -> "_Kind":
        about = f',"route":{_text(route)},"status":{status},"duration_ms":'
        kind = _Kind(self.bound(method, route, status), _text(method), about)
        if len(self._kinds) < _MAX_KINDS:
            self._kinds[method, route, status] = kind
        return kind

    @staticmethod
    def level_of(path: str) -> str:
        """Of the access line: probes ask every few seconds."""
        return "debug" if path.startswith(_QUIET) else "info"


class _Kind(NamedTuple):
    """All requests of one route that were answered with one status; what a line says of all of them, as JSON."""

    counted: Callable[[float], None]
    method: str
    about: str


def _surroundings(context: Context) -> str:
    """As JSON members, each with its comma. Ids of traces are hexadecimal."""
    trace, principal, request_id = context.trace, context.principal, context.request_id
    ids = "" if trace is None else f'"trace_id":"{trace.trace_id}","span_id":"{trace.span_id}",'
    request = "" if request_id is None else f'"request_id":{_text(request_id)},'
    if principal is None or principal.method == "anonymous":
        return f'{ids}"tenant":{_text(context.tenant)},{request}'
    key = "" if principal.key_id is None else f'"principal_key":{_text(principal.key_id)},'
    return f'{ids}"tenant":{_text(context.tenant)},{request}"principal":{_text(principal.subject)},{key}'


def _text(value: str) -> str:
    """As JSON, without a credential that stands in it."""
    if (value.isidentifier() or _PLAIN(value) is not None) and "ck_" not in value and "st_" not in value:
        return f'"{value}"'
    try:
        return orjson.dumps(scrub(value)).decode()
    except TypeError:  # a lone surrogate; the slow way escapes it
        return json.dumps(scrub(value))
