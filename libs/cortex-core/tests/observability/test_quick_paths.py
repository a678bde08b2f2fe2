"""The ways for who writes a line, or begins a span, a request: they say what the usual ways say."""

import asyncio
import io
import json

from cortex_core.kernel import TraceContext
from cortex_core.observability import Logger, Tracer, configure_logging
from cortex_core.observability.exporters import InMemoryExporter


class TestLines:
    async def test_a_line_has_its_head_and_comes_at_the_end_of_the_turn(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", stream=stream)
        try:
            log = Logger.get("here")
            for number in range(3):
                log.often("info", "asked", f'"number":{number}')
            assert stream.getvalue() == ""
            await asyncio.sleep(0)
        finally:
            configure_logging(service="test")

        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["number"] for line in lines] == [0, 1, 2]
        assert list(lines[0]) == ["time", "level", "event", "service", "logger", "number"]
        assert (lines[0]["level"], lines[0]["event"], lines[0]["logger"]) == ("info", "asked", "here")

    def test_without_a_loop_it_comes_at_once_and_what_is_not_heard_never(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", level="warning", stream=stream)
        try:
            log = Logger.get("here")
            log.often("info", "asked", '"a":1')
            assert (log.hears("info"), log.hears("warning"), stream.getvalue()) == (False, True, "")
            log.often("warning", "asked", '"a":1')
            assert stream.getvalue().endswith('"a":1}\n')
        finally:
            configure_logging(service="test")


class TestSpans:
    def test_a_trace_that_begins_with_an_id_of_ours_is_sampled_by_that_id(self) -> None:
        exporter = InMemoryExporter()
        tracer = Tracer("test", exporter=exporter, sample_ratio=0.5)
        low, high = (1 << 127) | 1, (1 << 127) | ((1 << 64) - 1)
        assert (tracer.exports, tracer.samples(low), tracer.samples(high)) == (True, True, False)

        span = tracer.begin("asked", kind="server", trace_id=low)
        span.set_attribute("a", 1)
        span.end()
        tracer.begin("another").end()

        tracer.force_flush()
        assert exporter.named("asked").context.trace_id == low
        assert all(each.context.trace_id != low for each in exporter.spans if each.name != "asked")

    def test_a_span_with_a_parent_is_of_its_trace(self) -> None:
        exporter = InMemoryExporter()
        tracer = Tracer("test", exporter=exporter, sample_ratio=0.0)
        parent = TraceContext.new()

        span = tracer.begin("asked", parent=parent, trace_id=7)
        span.end()

        tracer.force_flush()
        assert f"{exporter.named('asked').context.trace_id:032x}" == parent.trace_id == span.context.trace_id

    def test_without_an_exporter_nobody_keeps_them(self) -> None:
        assert not Tracer("test").exports
