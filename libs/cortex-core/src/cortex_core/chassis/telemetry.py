"""What a request leaves behind: one span, two metrics, one log line, under the same names in every service."""

import json
from collections.abc import Callable

import orjson

from cortex_core.asgi import ResponseDetails
from cortex_core.asgi.access_log import route_of
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.context import Context, TraceContext, current, use_context
from cortex_core.observability import Logger, MetricsCollector, Span, Tracer
from cortex_core.observability.redaction import scrub

_QUIET = ("/health", "/metrics")  # probes ask every few seconds: their line is for debugging only
_MAX_BOUND = 1024  # methods are the client's words
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestSpan:
    """A server span a request, child of the caller's; context and logs within carry its ids."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        context = current()
        with self.tracer.start_span(scope["method"], kind="server", parent=context.trace) as span:
            if not span.recording:
                return await self.app(scope, receive, send)
            await self._recorded(span, context, scope, receive, send)

    async def _recorded(self, span: Span, context: Context, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        span.set_attribute("http.request.method", scope["method"])
        span.set_attribute("cortex.tenant", context.tenant)
        if context.principal is not None and context.principal.named:
            span.set_attribute("cortex.principal", context.principal.subject)
            if context.principal.key_id is not None:
                span.set_attribute("cortex.principal_key", context.principal.key_id)
        try:
            await self.app(scope, receive, noting)
        finally:
            route = route_of(scope)
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A connection can last for days and has no span, only a trace that its lines and refusals carry."""
        with use_context(trace=current().trace or TraceContext.new(sampled=False)):
            await self.app(scope, receive, send)


class RequestMetrics:
    """The hook of `asgi.AccessLog`: counts, measures, and writes the access line."""

    def __init__(self, service: str, metrics: MetricsCollector, logger: Logger) -> None:
        labels = ("service", "method", "route", "status")
        self._service = service
        self._logger = logger
        self._bound: dict[tuple[str, str, int], Callable[[float], None]] = {}
        self._requests = metrics.create_counter("cortex_hub_http_requests_total", "HTTP requests", labels)
        self._seconds = metrics.create_histogram(
            "cortex_hub_http_request_duration_seconds", "HTTP request duration in seconds", labels=labels
        )

    def bound(self, method: str, route: str, status: int) -> Callable[[float], None]:
        """What counts one request that took so many seconds, looked up once."""
        labels = {
            "service": self._service,
            "method": method if method in _METHODS else "OTHER",
            "route": route,
            "status": str(status),
        }
        count, observe = self._requests.labels(**labels).inc, self._seconds.labels(**labels).observe

        def counted(seconds: float) -> None:
            count()
            observe(seconds)

        return counted

    def __call__(self, details: ResponseDetails) -> None:
        which = (details.method, details.route, details.status)
        counted = self._bound.get(which)
        if counted is None:
            counted = self.bound(*which)
            if len(self._bound) < _MAX_BOUND:
                self._bound[which] = counted
        counted(details.duration)
        if self._logger.hears(self.level_of(details.path)):
            self.write(details)

    def write(self, details: ResponseDetails) -> None:
        """The access line, by the short way: as any other line of that event would be, and at a tenth of its cost."""
        self._logger.often(self.level_of(details.path), "request", _surroundings(current()) + _members(details))

    @staticmethod
    def level_of(path: str) -> str:
        """Of the access line: probes ask every few seconds."""
        return "debug" if path.startswith(_QUIET) else "info"


def _surroundings(context: Context) -> str:
    """As JSON members, each with its comma. Ids of traces are hexadecimal."""
    trace, principal, request_id = context.trace, context.principal, context.request_id
    ids = "" if trace is None else f'"trace_id":"{trace.trace_id}","span_id":"{trace.span_id}",'
    request = "" if request_id is None else f'"request_id":{_text(request_id)},'
    named = f'"principal":{_text(principal.subject)},' if principal is not None and principal.named else ""
    if principal is not None and principal.key_id is not None:
        named += f'"principal_key":{_text(principal.key_id)},'
    return f'{ids}"tenant":{_text(context.tenant)},{request}{named}'


def _members(details: ResponseDetails) -> str:
    return (
        f'"method":{_text(details.method)},"path":{_text(details.path)},"route":{_text(details.route)},'
        f'"status":{details.status},"duration_ms":{round(details.duration * 1000, 3)},"bytes":{details.size},'
        f'"complete":{"true" if details.complete else "false"}'
    )


def _text(value: str) -> str:
    """As JSON, without a credential that stands in it."""
    if value.isalnum() and value.isascii():
        return f'"{value}"'
    try:
        return orjson.dumps(scrub(value)).decode()
    except TypeError:  # a lone surrogate; the slow way escapes it
        return json.dumps(scrub(value))
