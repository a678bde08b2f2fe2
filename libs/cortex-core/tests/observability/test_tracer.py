"""Tracer: spans, their place in the trace, and what becomes of them."""

import asyncio
import os
import random

import pytest
from opentelemetry import trace as otel
from opentelemetry.trace.status import StatusCode

from cortex_core.kernel import TraceContext, current, use_context
from cortex_core.observability import Tracer
from cortex_core.observability.exporters import InMemoryExporter

CANARY = "canary-91cc-must-not-be-seen"


@pytest.fixture
def exporter() -> InMemoryExporter:
    return InMemoryExporter()


@pytest.fixture
def tracer(exporter: InMemoryExporter) -> Tracer:
    return Tracer("order", exporter=exporter, resource={"service.version": "1.2.3"})


def test_a_span_carries_what_it_is_given(tracer: Tracer, exporter: InMemoryExporter) -> None:
    with tracer.start_span("POST /orders", kind="server", attributes={"http.request.method": "POST"}) as span:
        span.set_attribute("http.response.status_code", 201)
        span.add_event("stored", {"version": 1})

    assert tracer.force_flush()
    ended = exporter.named("POST /orders")
    assert dict(ended.attributes or {}) == {"http.request.method": "POST", "http.response.status_code": 201}
    assert [(event.name, dict(event.attributes or {})) for event in ended.events] == [("stored", {"version": 1})]
    assert ended.kind is otel.SpanKind.SERVER
    assert ended.status.status_code is StatusCode.UNSET
    assert ended.resource.attributes["service.name"] == "order"
    assert ended.resource.attributes["service.version"] == "1.2.3"
    assert (ended.end_time or 0) >= (ended.start_time or 0) > 0


def test_a_name_may_be_known_later(tracer: Tracer, exporter: InMemoryExporter) -> None:
    with tracer.start_span("POST") as span:
        span.update_name("POST /orders")

    tracer.force_flush()
    assert exporter.named("POST /orders").name == "POST /orders"


def test_within_the_block_the_context_names_the_span(tracer: Tracer) -> None:
    with tracer.start_span("outer") as outer:
        assert current().trace == outer.context
        with tracer.start_span("inner") as inner:
            assert current().trace == inner.context
        assert current().trace == outer.context
    assert current().trace is None


def test_a_child_belongs_to_its_parents_trace(tracer: Tracer, exporter: InMemoryExporter) -> None:
    with tracer.start_span("outer") as outer, tracer.start_span("inner") as inner:
        pass

    tracer.force_flush()
    parent = exporter.named("inner").parent
    assert inner.context.trace_id == outer.context.trace_id
    assert parent is not None
    assert f"{parent.span_id:016x}" == outer.context.span_id


def test_a_parent_from_another_process_is_followed_with_its_state(tracer: Tracer) -> None:
    parent = TraceContext.parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")

    with use_context(trace=TraceContext.new()), tracer.start_span("work", parent=parent) as span:
        assert span.context.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert span.context.span_id != "b7ad6b7169203331"
        assert span.context.state == "vendor=1"


def test_links_name_the_spans_that_led_here(tracer: Tracer, exporter: InMemoryExporter) -> None:
    cause = TraceContext.new()

    with tracer.start_span("batch", links=[cause]):
        pass

    tracer.force_flush()
    (link,) = exporter.named("batch").links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == f"{cause.trace_id}-{cause.span_id}"


async def test_spans_of_concurrent_tasks_do_not_mix(tracer: Tracer) -> None:
    async def work(name: str) -> tuple[TraceContext | None, TraceContext]:
        with tracer.start_span(name) as span:
            await asyncio.sleep(0)
            return current().trace, span.context

    for seen, own in await asyncio.gather(*(work(str(number)) for number in range(10))):
        assert seen == own


def test_no_global_of_opentelemetry_is_touched(tracer: Tracer) -> None:
    with tracer.start_span("work"):
        assert otel.get_current_span() is otel.INVALID_SPAN
    assert type(otel.get_tracer_provider()) is otel.ProxyTracerProvider


def test_seeding_random_does_not_repeat_a_trace() -> None:
    ids = set()
    for exporter in (None, InMemoryExporter(), None, InMemoryExporter()):
        random.seed(1)
        with Tracer("order", exporter=exporter).start_span("work") as span:
            ids.add(span.context.trace_id)

    assert len(ids) == 4


def test_a_fork_does_not_repeat_a_trace() -> None:
    tracer = Tracer("order")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with tracer.start_span("work") as span:
            os.write(writing, span.context.trace_id.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe, tracer.start_span("work") as span:
        assert pipe.read() != span.context.trace_id


def test_a_trace_that_is_sampled_keeps_the_id_it_was_sampled_by(exporter: InMemoryExporter) -> None:
    tracer = Tracer("order", exporter=exporter, sample_ratio=0.5)
    chosen = []
    for _ in range(64):
        with tracer.start_span("work") as span:
            assert span.recording is span.context.sampled is tracer.samples(int(span.context.trace_id, 16))
            chosen += [span.context.trace_id] if span.recording else []
    tracer.force_flush()

    assert 0 < len(chosen) < 64
    assert [f"{each.context.trace_id:032x}" for each in exporter.spans] == chosen


class TestErrors:
    def test_an_error_that_leaves_the_block_is_recorded_and_goes_on(
        self, tracer: Tracer, exporter: InMemoryExporter
    ) -> None:
        with pytest.raises(LookupError), tracer.start_span("work"):
            raise LookupError("no such order")

        tracer.force_flush()
        ended = exporter.named("work")
        (event,) = ended.events
        attributes = dict(event.attributes or {})
        assert ended.status.status_code is StatusCode.ERROR
        assert (attributes["exception.type"], attributes["exception.message"]) == ("LookupError", "no such order")
        assert "test_tracer.py" in str(attributes["exception.stacktrace"])

    async def test_a_cancellation_is_not_a_failure(self, tracer: Tracer, exporter: InMemoryExporter) -> None:
        async def work() -> None:
            with tracer.start_span("work"):
                await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        tracer.force_flush()
        ended = exporter.named("work")
        assert [event.name for event in ended.events] == ["cancelled"]
        assert ended.status.status_code is StatusCode.UNSET

    def test_a_secret_is_never_exported(self, tracer: Tracer, exporter: InMemoryExporter) -> None:
        def sign_in(password: str) -> None:
            raise ConnectionError(f"https://ann:{password}@example.org refused")

        with pytest.raises(ConnectionError), tracer.start_span("work", attributes={"token": CANARY}) as span:
            span.set_attribute("http.request.header.cookie", CANARY)
            span.set_attribute("url.full", f"https://ann:{CANARY}@example.org")
            span.add_event("sent", {"header": f"Bearer {CANARY}"})
            sign_in(CANARY)

        tracer.force_flush()
        shown = exporter.named("work").to_json()
        assert "example.org" in shown
        assert CANARY not in shown


class TestSampling:
    def test_a_ratio_of_nothing_records_nothing_and_still_has_ids(self, exporter: InMemoryExporter) -> None:
        tracer = Tracer("order", exporter=exporter, sample_ratio=0.0)

        with tracer.start_span("work") as span:
            assert not span.recording
            assert TraceContext.parse(span.context.traceparent) == span.context
            assert not span.context.sampled

        tracer.force_flush()
        assert exporter.spans == []

    @pytest.mark.parametrize("with_exporter", [True, False])
    def test_the_parents_decision_outweighs_the_ratio(self, exporter: InMemoryExporter, with_exporter: bool) -> None:
        for ratio, decided in ((0.0, True), (1.0, False)):
            tracer = Tracer("order", exporter=exporter if with_exporter else None, sample_ratio=ratio)
            with tracer.start_span("work", parent=TraceContext.new(sampled=decided)) as span:
                assert span.context.sampled is decided

    def test_a_ratio_is_kept_over_many_traces(self) -> None:
        tracer = Tracer("order", sample_ratio=0.25)
        sampled = 0
        for _ in range(4000):
            with tracer.start_span("work") as span:
                sampled += span.context.sampled

        assert 800 < sampled < 1200  # seven standard deviations to each side

    @pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
    def test_a_ratio_that_is_none_is_refused(self, ratio: float) -> None:
        with pytest.raises(ValueError, match="sample_ratio"):
            Tracer("order", sample_ratio=ratio)


class TestLimits:
    def test_a_span_holds_only_so_much(self, tracer: Tracer, exporter: InMemoryExporter) -> None:
        with tracer.start_span("work") as span:
            for number in range(500):
                span.set_attribute(f"attribute.{number}", "x" * 10_000)
                span.add_event(f"event {number}")

        tracer.force_flush()
        ended = exporter.named("work")
        assert len(ended.attributes or {}) == 64
        assert len(ended.events) == 64
        assert {len(str(value)) for value in (ended.attributes or {}).values()} == {4096}


class TestWithoutAnExporter:
    def test_spans_have_ids_and_nobody_keeps_them(self) -> None:
        tracer = Tracer("order")

        with tracer.start_span("outer") as outer, tracer.start_span("inner", attributes={"a": 1}) as inner:
            inner.set_attribute("b", 2)
            inner.add_event("c")
            inner.record_error(ValueError("d"))

        assert not inner.recording
        assert inner.context.trace_id == outer.context.trace_id
        assert inner.context.span_id != outer.context.span_id
        assert (tracer.force_flush(), tracer.dropped) == (True, 0)
        tracer.shutdown()

    def test_opentelemetry_switched_off_by_its_own_variable_leaves_the_trace_going(
        self, monkeypatch: pytest.MonkeyPatch, exporter: InMemoryExporter
    ) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        parent = TraceContext.new()

        with Tracer("order", exporter=exporter).start_span("work", parent=parent) as span:
            assert span.context.trace_id == parent.trace_id
        with Tracer("order", exporter=exporter).start_span("work") as span:
            assert TraceContext.parse(span.context.traceparent) == span.context
