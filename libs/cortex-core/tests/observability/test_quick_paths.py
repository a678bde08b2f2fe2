"""The ways for who writes a line, or begins a span, a request: they say what the usual ways say."""

import asyncio
import io
import json
import subprocess
import sys
import textwrap
import threading

import pytest

from cortex_core.kernel import TraceContext
from cortex_core.observability import Logger, Tracer, configure_logging
from cortex_core.observability.exporters import InMemoryExporter


class TestLines:
    async def test_a_line_has_its_head_and_comes_at_the_end_of_the_turn(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", stream=stream)
        try:
            lines = Logger.get("here").lines("info", "asked")
            for number in range(3):
                lines.write(f'"number":{number}')
            assert stream.getvalue() == ""
            await asyncio.sleep(0)
        finally:
            configure_logging(service="test")

        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["number"] for line in found] == [0, 1, 2]
        assert list(found[0]) == ["time", "level", "event", "service", "logger", "number"]
        assert (found[0]["level"], found[0]["event"], found[0]["logger"]) == ("info", "asked", "here")

    def test_it_names_the_service_of_the_moment(self) -> None:
        stream, lines = io.StringIO(), Logger.get("here").lines("info", "asked")
        try:
            for service in ("one", "two"):
                configure_logging(service=service, stream=stream)
                lines.write('"a":1')
        finally:
            configure_logging(service="test")

        assert [json.loads(line)["service"] for line in stream.getvalue().splitlines()] == ["one", "two"]

    async def test_the_system_is_asked_for_the_loop_once_a_turn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, get = [], asyncio.get_running_loop
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: asked.append(1) or get())  # type: ignore[func-returns-value]
        configure_logging(service="test", stream=io.StringIO())
        try:
            for _ in range(100):
                Logger.get("here").lines("info", "asked").write('"a":1')
            assert len(asked) == 1
            await asyncio.sleep(0)
        finally:
            configure_logging(service="test")

    async def test_a_turn_that_says_much_does_not_hold_it_all(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", stream=stream)
        try:
            for _ in range(2000):
                Logger.get("here").lines("info", "asked").write('"a":1')
            assert 1000 < stream.getvalue().count("\n") <= 2000
            await asyncio.sleep(0)
        finally:
            configure_logging(service="test")
        assert stream.getvalue().count("\n") == 2000

    def test_a_loop_that_ended_early_takes_no_line_along(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", stream=stream)
        try:
            for number in range(2):
                loop = asyncio.new_event_loop()

                def say(number: int, loop: asyncio.AbstractEventLoop) -> None:
                    Logger.get("here").lines("info", "asked").write(f'"number":{number}')
                    loop.stop()

                loop.call_soon(say, number, loop)
                loop.run_forever()
                if number:
                    loop.call_soon(loop.stop)
                    loop.run_forever()
                loop.close()
        finally:
            configure_logging(service="test")

        assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [0, 1]

    def test_what_waits_at_the_end_of_the_process_is_written(self) -> None:
        ends = """
            import asyncio, sys
            from cortex_core.observability import Logger, configure_logging
            configure_logging(service="test")
            loop = asyncio.new_event_loop()
            loop.call_soon(lambda: (Logger.get("here").lines("info", "asked").write('"a":1'), sys.exit()))
            loop.run_forever()
        """
        said = subprocess.run([sys.executable, "-c", textwrap.dedent(ends)], stdout=subprocess.PIPE, check=True)

        assert json.loads(said.stdout)["event"] == "asked"

    def test_lines_of_several_threads_are_all_there_once(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", stream=stream)

        def say(first: int) -> None:
            for number in range(first, first + 1000):
                Logger.get("here").lines("info", "asked").write(f'"number":{number}')

        threads = [threading.Thread(target=say, args=(first,)) for first in (0, 1000, 2000)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            configure_logging(service="test")

        assert sorted(json.loads(line)["number"] for line in stream.getvalue().splitlines()) == list(range(3000))

    def test_without_a_loop_it_comes_at_once_and_what_is_not_heard_never(self) -> None:
        stream = io.StringIO()
        configure_logging(service="test", level="warning", stream=stream)
        try:
            info, warning = [Logger.get("here").lines(level, "asked") for level in ("info", "warning")]
            info.write('"a":1')
            assert (info.heard, warning.heard, stream.getvalue()) == (False, True, "")
            warning.write('"a":1')
            assert stream.getvalue().endswith('"a":1}\n')
        finally:
            configure_logging(service="test")


class TestSpans:
    def test_of_ids_that_are_text_all_are_sampled_or_none_at_the_ends(self) -> None:
        for ratio, sampled in ((1.0, True), (0.0, False)):
            below = Tracer("test", sample_ratio=ratio).sampled_below
            assert [half < below for half in ("0" * 16, "f" * 16)] == [sampled, sampled]

    def test_a_trace_that_begins_with_an_id_of_ours_is_sampled_by_that_id(self) -> None:
        exporter = InMemoryExporter()
        tracer = Tracer("test", exporter=exporter, sample_ratio=0.5)
        low, high = (1 << 127) | 1, (1 << 127) | ((1 << 64) - 1)
        assert (tracer.exports, tracer.samples(low), tracer.samples(high)) == (True, True, False)
        assert [f"{trace:032x}"[16:] < tracer.sampled_below for trace in (low, high)] == [True, False]

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
