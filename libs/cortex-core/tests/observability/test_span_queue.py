"""The queue between the work and the exporter: bounded, counted, never in the way."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cortex_core.observability import Tracer
from cortex_core.observability.exporters import InMemoryExporter
from cortex_core.testing import assert_bound


class StuckExporter(SpanExporter):
    """Takes a batch and does not come back until `free` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.busy = threading.Event()
        self.batches: list[int] = []
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.busy.set()
        self.free.wait(10)
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture
def stuck() -> Iterator[StuckExporter]:
    exporter = StuckExporter()
    yield exporter
    exporter.free.set()


def end_spans(tracer: Tracer, count: int) -> None:
    for number in range(count):
        with tracer.start_span(f"span {number}"):
            pass


def test_spans_leave_in_order_and_in_batches(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck, capacity=100, batch=10)
    stuck.free.set()

    end_spans(tracer, 95)

    assert tracer.force_flush()
    assert sum(stuck.batches) == 95
    assert max(stuck.batches) <= 10
    assert tracer.dropped == 0


@pytest.mark.bound
def test_a_full_queue_drops_and_counts_and_does_not_wait(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck, capacity=50, batch=10)
    end_spans(tracer, 10)
    assert stuck.busy.wait(10)  # the first batch is out, and stuck

    started = time.monotonic()
    end_spans(tracer, 80)

    assert_bound(time.monotonic() - started, 0.5)
    assert tracer.dropped == 30
    stuck.free.set()
    assert tracer.force_flush()
    assert sum(stuck.batches) == 60


def test_a_lone_span_leaves_after_the_interval() -> None:
    exporter = InMemoryExporter()
    tracer = Tracer("order", exporter=exporter, interval=0.01)

    end_spans(tracer, 1)

    deadline = time.monotonic() + 10
    while not exporter.spans and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(exporter.spans) == 1


def test_a_flush_gives_up_in_time(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck)
    end_spans(tracer, 1)

    assert tracer.force_flush(timeout=0.02) is False


def test_a_shutdown_exports_what_waits_and_closes_the_exporter(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck, interval=3600)
    end_spans(tracer, 3)
    stuck.free.set()

    tracer.shutdown()
    tracer.shutdown()

    assert (stuck.batches, stuck.closed, tracer.dropped) == ([3], True, 0)


def test_a_shutdown_gives_up_in_time_and_counts_what_is_lost(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck, batch=1)
    end_spans(tracer, 1)
    assert stuck.busy.wait(10)
    end_spans(tracer, 4)

    tracer.shutdown(timeout=0.02)

    assert (tracer.dropped, stuck.closed) == (4, True)
    end_spans(tracer, 2)
    assert tracer.dropped == 6


async def test_closing_does_not_block_the_loop(stuck: StuckExporter) -> None:
    tracer = Tracer("order", exporter=stuck)
    end_spans(tracer, 1)

    closing = asyncio.create_task(tracer.aclose(timeout=10))
    await asyncio.to_thread(stuck.busy.wait, 10)
    assert not closing.done()
    stuck.free.set()
    await closing

    assert stuck.batches == [1]


class BrokenExporter(SpanExporter):
    """Raises, refuses, then works."""

    def __init__(self) -> None:
        self.calls = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError("no collector")
        return SpanExportResult.FAILURE if self.calls in (2, 3) else SpanExportResult.SUCCESS


def test_an_exporter_that_fails_loses_its_batch_and_nothing_else(lines: Any) -> None:
    exporter = BrokenExporter()
    tracer = Tracer("order", exporter=exporter)

    for _ in range(5):
        end_spans(tracer, 1)
        assert tracer.force_flush()

    assert (exporter.calls, tracer.dropped) == (5, 3)
    assert [line["event"] for line in lines.all()] == [
        "spans could not be exported",
        "spans are refused by the exporter",
        "spans are exported again",
    ]


@pytest.mark.parametrize("argument", ["capacity", "batch", "interval"])
def test_a_bound_that_is_none_is_refused_by_name(argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        Tracer("order", exporter=InMemoryExporter(), **{argument: 0})  # type: ignore[arg-type]  # one of three


def test_the_in_memory_exporter_names_what_it_has() -> None:
    exporter = InMemoryExporter()
    tracer = Tracer("order", exporter=exporter)
    end_spans(tracer, 1)
    tracer.force_flush()

    with pytest.raises(LookupError, match=r"0 spans are named 'other'; there are \['span 0'\]"):
        exporter.named("other")
