"""What a request leaves behind: one span, two metrics, one log line, under the same names in every service."""

from cortex_core.asgi import ResponseDetails
from cortex_core.asgi.access_log import route_of
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.context import TraceContext, current, use_context
from cortex_core.observability import Logger, MetricsCollector, Tracer

_QUIET = ("/health", "/metrics")  # probes ask every few seconds: their line is for debugging only
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

        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        context = current()
        with self.tracer.start_span(scope["method"], kind="server", parent=context.trace) as span:
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("cortex.tenant", context.tenant)
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
        self._requests = metrics.create_counter("cortex_hub_http_requests_total", "HTTP requests", labels)
        self._seconds = metrics.create_histogram(
            "cortex_hub_http_request_duration_seconds", "HTTP request duration in seconds", labels=labels
        )

    def __call__(self, details: ResponseDetails) -> None:
        labels = {
            "service": self._service,
            "method": details.method if details.method in _METHODS else "OTHER",
            "route": details.route,
            "status": str(details.status),
        }
        self._requests.labels(**labels).inc()
        self._seconds.labels(**labels).observe(details.duration)
        write = self._logger.debug if details.path.startswith(_QUIET) else self._logger.info
        write(
            "request",
            method=details.method,
            path=details.path,
            route=details.route,
            status=details.status,
            duration_ms=round(details.duration * 1000, 3),
            bytes=details.size,
            complete=details.complete,
        )
