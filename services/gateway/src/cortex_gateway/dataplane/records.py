"""What a request of the express lane leaves behind: what every request does, under the same names
(`chassis.telemetry`).

Owns the span of a sampled request, and the count of lanes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from cortex_core.chassis.telemetry import RequestMetrics
from cortex_core.kernel import Principal, TraceContext
from cortex_core.observability import Lines, Logger, MetricsCollector, Span, Tracer
from cortex_gateway.dataplane.ids import Ids
from cortex_gateway.dataplane.table import Entry

EXPRESS: Final = "express"
APPLICATION: Final = "asgi"
_MAX_KNOWN: Final = 1024


class Trace:
    """A request's place in its trace: `ids` are the trace's and the span's, 32 and 16 hexadecimal digits. `parent` is
    None where the trace begins here."""

    __slots__ = ("_parent", "_sampled", "ids", "span")

    def __init__(self, ids: str, sampled: bool, parent: TraceContext | None, span: Span | None) -> None:
        self.ids = ids
        self._sampled = sampled
        self._parent = parent
        self.span = span

    def lines(self) -> bytes:
        """For the service, without the last one's end."""
        ids = self.ids
        line = f"traceparent: 00-{ids[:32]}-{ids[32:]}-{'01' if self._sampled else '00'}"
        if self._parent is not None and self._parent.state:
            line += f"\r\ntracestate: {self._parent.state}"
        return line.encode("latin-1")

    def context(self) -> TraceContext:
        state = self._parent.state if self._parent is not None else ""
        return TraceContext(self.ids[:32], self.ids[32:], self._sampled, state)


class Records:
    def __init__(self, metrics: MetricsCollector, requests: RequestMetrics, logger: Logger, tracer: Tracer) -> None:
        lanes = metrics.create_counter("cortex_gateway_lane_total", "Requests by who answered them", ("lane",))
        self._express = lanes.labels(lane=EXPRESS)
        self.application: Callable[[], None] = lanes.labels(lane=APPLICATION).inc
        self._requests = requests
        self._logger = logger
        self._tracer = tracer
        self._sampled_below = tracer.sampled_below
        self._exports = tracer.exports
        self._known: dict[int, _Known] = {}
        self.ids = Ids()

    def begin(self, entry: Entry, parent: TraceContext | None) -> Trace:
        """A span where somebody will see it; ids for the services in any case."""
        if parent is None:
            ids = self.ids.place()
            sampled = ids[16:32] < self._sampled_below
            if not (sampled and self._exports):
                return Trace(ids, sampled, None, None)
            number = int(ids[:32], 16)
        else:
            number, sampled = 0, parent.sampled
            if not (sampled and self._exports):
                return Trace(f"{parent.trace_id}{self.ids.span():016x}", sampled, parent, None)
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
        return Trace(place.trace_id + place.span_id, place.sampled, parent, span)

    def ended(self, entry: Entry, trace: Trace, ended: "Ended") -> None:
        """Counts, measures, writes the access line, and ends the span."""
        kind = entry.memo.get(ended.status)
        if kind is None:
            kind = entry.memo[ended.status] = self._kind(entry, ended.status)
        kind.counted(ended.seconds)
        if trace.span is not None:
            self._end(trace.span, ended)
        lines = kind.lines
        if lines.heard:
            lines.write(self._line(kind, trace, ended))

    @staticmethod
    def _end(span: Span, ended: "Ended") -> None:
        principal = ended.principal
        span.set_attribute("http.response.status_code", ended.status)
        span.set_attribute("cortex.tenant", principal.tenant)
        if principal.method != "anonymous":
            span.set_attribute("cortex.principal", principal.subject)
        if principal.key_id is not None:
            span.set_attribute("cortex.principal_key", principal.key_id)
        span.end()

    def _kind(self, entry: Entry, status: int) -> "_Kind":
        lines = self._logger.lines(self._requests.level_of(entry.template), "request")
        before = f'"method":"{entry.verb}","path":"'
        about = f'","route":"{entry.template}","status":{status},"duration_ms":'
        counted = self._requests.bound(entry.verb, entry.template, status, self._express)
        return _Kind(counted, lines, before, about, "" if "{" in entry.template else before + entry.template + about)

    def _line(self, kind: "_Kind", trace: Trace, ended: "Ended") -> str:
        """The members of an access line, as `RequestMetrics` has them. Nothing in here needs an escape but a subject: a
        target that has come this far is RFC 3986's own characters."""
        principal, complete = ended.principal, "true" if ended.complete else "false"
        who = self._known.get(id(principal)) or self._know(principal)
        what = kind.whole or f"{kind.before}{ended.path}{kind.about}"
        return (
            f'"trace_id":"{trace.ids[:32]}","span_id":"{trace.ids[32:]}",{who.tenant}{ended.request_id.decode()}",'
            f'{who.named}{what}{ended.seconds * 1000:.3f},"bytes":{ended.size},"complete":{complete}'
        )

    def _know(self, principal: Principal) -> "_Known":
        """The same few ask again and again, and each is one object for as long as it is remembered who it is."""
        named = "" if principal.method == "anonymous" else f'"principal":{orjson.dumps(principal.subject).decode()},'
        if principal.key_id is not None:
            named += f'"principal_key":{orjson.dumps(principal.key_id).decode()},'
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        known = _Known(principal, f'"tenant":"{principal.tenant}","request_id":"', named)
        self._known[id(principal)] = known
        return known


@dataclass(slots=True)  # not a tuple: a field of these is read in a tenth of the time
class Ended:
    """What became of a request: see `asgi.ResponseDetails`. `path` shows no secret any more."""

    status: int
    seconds: float
    size: int
    complete: bool
    path: str
    principal: Principal
    request_id: bytes


@dataclass(slots=True)
class _Kind:
    """All requests of one entry that were answered with one status. `whole` is what a line says of them between who
    asks and the time it took, where the path is the template."""

    counted: Callable[[float], None]
    lines: Lines
    before: str
    about: str
    whole: str


@dataclass(slots=True)
class _Known:
    """What a line says of who asks. The principal is kept with it, so that nobody else gets its identity."""

    principal: Principal
    tenant: str
    named: str
