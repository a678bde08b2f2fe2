"""Traces: spans over the OpenTelemetry SDK, with the kernel's context as the one place that knows where we are.

Owns a provider of its own (nothing global, so two services in one process do not mix), the W3C ids, the sampling (the
parent's decision, or else the ratio), and limits on what a span can hold. Promises that an ended span leaves memory
(original's defect 13). Refuses to know transports: `TraceContext.parse` and `.traceparent` are the way in and out.
"""

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Literal

from opentelemetry import trace as otel
from opentelemetry.context import Context as OtelContext
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.status import StatusCode

from cortex_core.kernel.context import TraceContext, current, use_context
from cortex_core.observability.exporters import SpanQueue
from cortex_core.observability.redaction import REDACTED, is_secret, scrub
from cortex_core.observability.trace_ids import TraceIds, new_place, new_span_id, new_trace_id, place_under

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]

_KINDS: Final = {name.lower(): kind for name, kind in otel.SpanKind.__members__.items()}
_LIMITS: Final = SpanLimits(
    max_span_attributes=64, max_events=64, max_links=64, max_event_attributes=16, max_attribute_length=4096
)


class Span:
    """A piece of work being timed. `context` is its place in the trace. After its end nothing changes it any more."""

    __slots__ = ("_span", "context")

    def __init__(self, span: otel.Span, context: TraceContext) -> None:
        self._span = span
        self.context = context

    @property
    def recording(self) -> bool:
        """False where nobody will see it: costly attributes need not be computed then."""
        return self._span.is_recording()

    def set_attribute(self, name: str, value: Value) -> None:
        """A secret's name keeps its place and loses its value; credentials inside text are cut out."""
        if self._span.is_recording():
            self._span.set_attribute(name, _shown(name, value))

    def update_name(self, name: str) -> None:
        """For a name that is known only later: a server span's route is the router's to find."""
        if self._span.is_recording():
            self._span.update_name(name)

    def add_event(self, name: str, attributes: Mapping[str, Value] | None = None) -> None:
        if self._span.is_recording():
            self._span.add_event(name, {key: _shown(key, value) for key, value in (attributes or {}).items()})

    def end(self) -> None:
        """For a span of `Tracer.begin`."""
        self._span.end()

    def failed(self, error: BaseException) -> None:
        """It ended by `error`; a cancellation is an event, not a failure."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.add_event("cancelled")
        else:
            self.record_error(error)

    def record_error(self, error: BaseException) -> None:
        """The span failed, and why: type, message, stack (frames only, never their variables)."""
        if not self._span.is_recording():
            return
        message = scrub(str(error))
        stack = scrub("".join(traceback.format_exception(error)))
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        self._span.add_event(
            "exception", {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
        )
        self._span.set_status(StatusCode.ERROR, message)


class Tracer:
    """Starts spans. Without an exporter spans exist for their ids alone: logs and events name them, nobody keeps them.

    `sample_ratio` (0 … 1) decides for traces that begin here; others follow their parent. At most `capacity` ended
    spans wait for the exporter, which gets them in batches, `interval` seconds after the first at the latest.
    """

    def __init__(
        self,
        service_name: str,
        *,
        exporter: SpanExporter | None = None,
        sample_ratio: float = 1.0,
        capacity: int = 2048,
        batch: int = 512,
        interval: float = 1.0,
        resource: Mapping[str, str] | None = None,
    ) -> None:
        if not 0.0 <= sample_ratio <= 1.0:
            raise ValueError(f"sample_ratio must be from 0 to 1, not {sample_ratio}")
        ratio = TraceIdRatioBased(sample_ratio)
        self._bound = ratio.bound
        self._ids = TraceIds()
        self._queue: SpanQueue | None = None
        self._tracer: otel.Tracer | None = None
        if exporter is None:
            return
        provider = TracerProvider(
            sampler=ParentBased(ratio),
            resource=Resource({"service.name": service_name, **(resource or {})}),
            shutdown_on_exit=False,  # whoever opened it closes it, with a timeout
            id_generator=self._ids,
            span_limits=_LIMITS,
        )
        self._queue = SpanQueue(exporter, capacity=capacity, batch=batch, interval=interval)
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("cortex_core")

    @property
    def dropped(self) -> int:
        """Ended spans that never reached the exporter."""
        return self._queue.dropped if self._queue is not None else 0

    def start_span(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        attributes: Mapping[str, Value] | None = None,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
    ) -> AbstractContextManager[Span]:
        """A span for the block, child of `parent` (default: the current context's; without one a trace begins).

        Within the block the context's trace is the span's. An error that leaves the block is recorded and goes on;
        a cancellation is an event, not a failure.
        """
        return _Block(self, name, kind, attributes or {}, parent, links)

    def place(self, parent: TraceContext | None) -> TraceContext:
        """Where work under `parent` (None: a trace begins) stands: its ids, and whether it is sampled. All that there
        is of a span that nobody will see (not `records`); any other begins with `begin`."""
        return new_place(self._bound) if parent is None else place_under(parent)

    def records(self, place: TraceContext) -> bool:
        """Whether somebody will see a span there."""
        return place.sampled and self._tracer is not None

    @property
    def exports(self) -> bool:
        """Whether anybody keeps spans."""
        return self._tracer is not None

    @property
    def sampled_below(self) -> str:
        """The same for ids that are text: the lower half, in 16 hexadecimal digits, sorts before this."""
        return f"{self._bound:016x}" if self._bound <= TraceIdRatioBased.TRACE_ID_LIMIT else "g"

    def samples(self, trace_id: int) -> bool:
        """The decision for a trace that begins here with this id."""
        return (trace_id & TraceIdRatioBased.TRACE_ID_LIMIT) < self._bound

    def begin(
        self,
        name: str,
        *,
        kind: SpanKind = "internal",
        attributes: Mapping[str, Value] | None = None,
        parent: TraceContext | None = None,
        trace_id: int = 0,
    ) -> Span:
        """`start_span` for code that works in callbacks: no context is changed, and whoever begins it ends it.
        `trace_id`: of a trace that begins here (no `parent`)."""
        return self._begin(name, kind, attributes or {}, parent, (), trace_id)

    def _begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Value],
        parent: TraceContext | None,
        links: Sequence[TraceContext],
        trace_id: int = 0,
    ) -> Span:
        if parent is None:
            trace_id = trace_id or new_trace_id()
            sampled = self.samples(trace_id)
        else:
            sampled = parent.sampled
        if self._tracer is None or not sampled:  # decided here: nothing of the SDK is made for what nobody will see
            return Span(otel.INVALID_SPAN, _unrecorded(parent, trace_id, sampled))
        self._ids.next.trace = 0 if parent is not None else trace_id
        span = self._tracer.start_span(
            name,
            context=_to_otel(parent),
            kind=_KINDS[kind],
            attributes={key: _shown(key, value) for key, value in attributes.items()},
            links=[otel.Link(_span_context(link)) for link in links],
            record_exception=False,
            set_status_on_exception=False,
        )
        return Span(span, _from_otel(span.get_span_context(), parent))

    def force_flush(self, timeout: float = 5.0) -> bool:
        """Blocks until every ended span has been handed to the exporter, or for `timeout` seconds: then False."""
        return self._queue is None or self._queue.force_flush(int(timeout * 1000))

    def shutdown(self, timeout: float = 5.0) -> None:
        """Blocks for at most `timeout` seconds for what waits; spans that end later are dropped and counted."""
        if self._queue is not None:
            self._queue.shutdown(timeout)

    async def aclose(self, timeout: float = 5.0) -> None:
        """`shutdown` without blocking the loop."""
        await asyncio.to_thread(self.shutdown, timeout)


class _Block:
    """The block of `Tracer.start_span`. A class, and no generator: every request goes through here."""

    __slots__ = ("_asked", "_context", "_span", "_tracer")

    def __init__(self, tracer: Tracer, *asked: Any) -> None:
        self._tracer = tracer
        self._asked = asked

    def __enter__(self) -> Span:
        name, kind, attributes, parent, links = self._asked
        self._span = self._tracer._begin(name, kind, attributes, parent or current().trace, links)
        self._context = use_context(trace=self._span.context)
        self._context.__enter__()
        return self._span

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is not None:
                self._span.failed(error)
            self._span.end()
        finally:
            self._context.__exit__()


def _unrecorded(parent: TraceContext | None, trace_id: int, sampled: bool) -> TraceContext:
    if parent is not None:
        return place_under(parent)
    return TraceContext(f"{trace_id:032x}", f"{new_span_id():016x}", sampled)


def _shown(name: str, value: Any) -> Any:
    if is_secret(name):
        return REDACTED
    return scrub(value) if isinstance(value, str) else value


def _span_context(trace: TraceContext) -> otel.SpanContext:
    return otel.SpanContext(
        int(trace.trace_id, 16),
        int(trace.span_id, 16),
        is_remote=True,
        trace_flags=otel.TraceFlags(otel.TraceFlags.SAMPLED if trace.sampled else otel.TraceFlags.DEFAULT),
        trace_state=otel.TraceState.from_header([trace.state]) if trace.state else None,
    )


def _to_otel(parent: TraceContext | None) -> OtelContext:
    """An OpenTelemetry context with nothing in it but the parent: its own ambient one is not consulted."""
    if parent is None:
        return OtelContext()
    return otel.set_span_in_context(otel.NonRecordingSpan(_span_context(parent)), OtelContext())


def _from_otel(span: otel.SpanContext, parent: TraceContext | None) -> TraceContext:
    if not span.is_valid:  # OTEL_SDK_DISABLED=true: the SDK hands out nothing, and the trace still has to go on
        return parent or TraceContext.new(sampled=False)
    return TraceContext(
        f"{span.trace_id:032x}",
        f"{span.span_id:016x}",
        span.trace_flags.sampled,
        span.trace_state.to_header() if span.trace_state else "",
    )
