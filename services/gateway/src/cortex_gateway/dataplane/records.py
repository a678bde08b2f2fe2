"""What a request of the express lane leaves behind: what every request does, under the same names
(`chassis.telemetry`).

Owns the span of a sampled request, and the count of lanes.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from cortex_core.chassis.telemetry import RequestMetrics
from cortex_core.kernel import Principal, TraceContext
from cortex_core.observability import Logger, MetricsCollector, Span, Tracer
from cortex_core.observability.redaction import scrub
from cortex_gateway.dataplane.ids import Ids
from cortex_gateway.dataplane.table import Entry

EXPRESS: Final = "express"
APPLICATION: Final = "asgi"


class Trace:
    """A request's place in its trace. `parent` is None where the trace begins here."""

    __slots__ = ("_parent", "_sampled", "span", "span_id", "trace_id")

    def __init__(self, trace_id: bytes, span_id: bytes, sampled: bool, parent: TraceContext | None, span: Any) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self._sampled = sampled
        self._parent = parent
        self.span: Span | None = span

    def lines(self) -> bytes:
        """For the service."""
        flags = b"01" if self._sampled else b"00"
        line = b"traceparent: 00-%b-%b-%b\r\n" % (self.trace_id, self.span_id, flags)
        if self._parent is not None and self._parent.state:
            line += b"tracestate: %b\r\n" % self._parent.state.encode("latin-1")
        return line

    def context(self) -> TraceContext:
        state = self._parent.state if self._parent is not None else ""
        return TraceContext(self.trace_id.decode(), self.span_id.decode(), self._sampled, state)


class Records:
    def __init__(self, metrics: MetricsCollector, requests: RequestMetrics, logger: Logger, tracer: Tracer) -> None:
        lanes = metrics.create_counter("cortex_gateway_lane_total", "Requests by who answered them", ("lane",))
        self.express: Callable[[], None] = lanes.labels(lane=EXPRESS).inc
        self.application: Callable[[], None] = lanes.labels(lane=APPLICATION).inc
        self._requests = requests
        self._logger = logger
        self._tracer = tracer
        self.ids = Ids()

    def begin(self, entry: Entry, parent: TraceContext | None) -> Trace:
        """A span where somebody will see it; ids for the services in any case."""
        if parent is None:
            number = self.ids.trace()
            trace_id, sampled = b"%032x" % number, self._tracer.samples(number)
        else:
            number, trace_id, sampled = 0, parent.trace_id.encode(), parent.sampled
        if not (sampled and self._tracer.exports):
            return Trace(trace_id, self.ids.span(), sampled, parent, None)
        method = entry.verb
        attributes = {
            "http.request.method": method,
            "http.route": entry.template,
            "cortex.upstream": entry.route.service.value if entry.route is not None else "gateway",
        }
        span = self._tracer.begin(
            f"{method} {entry.template}", kind="server", attributes=attributes, parent=parent, trace_id=number
        )
        place = span.context
        return Trace(place.trace_id.encode(), place.span_id.encode(), place.sampled, parent, span)

    def ended(self, entry: Entry, trace: Trace, ended: "Ended") -> None:
        """Counts, measures, writes the access line, and ends the span."""
        kind = entry.memo.get(ended.status)
        if kind is None:
            kind = entry.memo[ended.status] = self._kind(entry, ended.status)
        kind.counted(ended.seconds)
        self.express()
        principal = ended.principal
        if trace.span is not None:
            trace.span.set_attribute("http.response.status_code", ended.status)
            trace.span.set_attribute("cortex.tenant", principal.tenant)
            if principal.method != "anonymous":
                trace.span.set_attribute("cortex.principal", principal.subject)
            if principal.key_id is not None:
                trace.span.set_attribute("cortex.principal_key", principal.key_id)
            trace.span.end()
        if self._logger.hears(kind.level):
            self._logger.often(kind.level, "request", self._line(kind, trace, ended))

    def _kind(self, entry: Entry, status: int) -> "_Kind":
        level = self._requests.level_of(entry.template)
        about = f'"route":"{entry.template}","status":{status},"duration_ms":'
        counted = self._requests.bound(entry.verb, entry.template, status)
        return _Kind(counted, level, f'"method":"{entry.verb}","path":"', f'",{about}')

    @staticmethod
    def _line(kind: "_Kind", trace: Trace, ended: "Ended") -> str:
        """The members of an access line, as `RequestMetrics.write` has them. Nothing in here needs an escape but a
        subject: a target that has come this far is RFC 3986's own characters."""
        principal = ended.principal
        named = "" if principal.method == "anonymous" else f'"principal":{orjson.dumps(principal.subject).decode()},'
        if principal.key_id is not None:
            named += f'"principal_key":{orjson.dumps(principal.key_id).decode()},'
        return (
            f'"trace_id":"{trace.trace_id.decode()}","span_id":"{trace.span_id.decode()}","tenant":"{principal.tenant}",'
            f'"request_id":"{ended.request_id.decode()}",{named}{kind.method}{scrub(ended.path)}{kind.about}'
            f'{ended.seconds * 1000:.3f},"bytes":{ended.size},"complete":{"true" if ended.complete else "false"}'
        )


class Ended(NamedTuple):
    """What became of a request: see `asgi.ResponseDetails`."""

    status: int
    seconds: float
    size: int
    complete: bool
    path: str
    principal: Principal
    request_id: bytes


class _Kind(NamedTuple):
    """All requests of one entry that were answered with one status."""

    counted: Callable[[float], None]
    level: str
    method: str
    about: str
