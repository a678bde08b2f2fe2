"""The thirteen defects of the TypeScript original: one class a row, named for what ours promises.

Each class runs the same probe twice: over a naive reading of the plan's own code, which must break the promise, so that
the probe is known to notice, and over ours, which must keep it. Rows come with the blocks they are about.
"""

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cortex_core.observability import Span, Tracer
from cortex_core.resilience import RetryExecutor


@dataclass
class WrittenDownClock:
    """Sleeping takes no time and is written down."""

    sleeps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return sum(self.sleeps)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


class TestRow3RetryBuiltAsThePlanDoes:
    """`RetryExecutor(max_attempts=3, base_delay=1 s)`: 3 attempts, exponential back-off with jitter."""

    class NaiveRetryExecutor:
        """The original's wants a back-off strategy; the plan hands it bare numbers, and nobody notices at first."""

        def __init__(self, **options: Any) -> None:
            self.max_attempts = options.get("attempts")
            self.strategy: Any = options.get("strategy")

        async def execute(self, call: Callable[[], Awaitable[str]]) -> str:
            attempt = 0
            while True:
                try:
                    return await call()
                except TimeoutError:
                    attempt += 1
                    await asyncio.sleep(self.strategy.delay(attempt))  # `strategy` is nobody

    @staticmethod
    async def attempts(executor: Any) -> tuple[int, Exception]:
        """How often a payment that always times out was tried, and what came out in the end."""
        made = 0

        async def pay() -> str:
            nonlocal made
            made += 1
            raise TimeoutError("Payment gateway timeout")

        with pytest.raises(Exception) as raised:
            await executor.execute(pay)
        return made, raised.value

    async def test_the_naive_one_tries_once_and_breaks(self) -> None:
        made, error = await self.attempts(self.NaiveRetryExecutor(max_attempts=3, base_delay=1.0))

        assert made == 1
        assert isinstance(error, AttributeError | TypeError)

    async def test_ours_makes_three_attempts_with_growing_jittered_waits(self) -> None:
        waits: list[list[float]] = []
        for seed in range(200):
            clock = WrittenDownClock()
            retry = RetryExecutor(max_attempts=3, base_delay=1.0, clock=clock, rng=random.Random(seed))

            made, error = await self.attempts(retry)

            assert made == 3
            assert isinstance(error, TimeoutError)
            waits.append(clock.sleeps)

        first, second = ([wait[position] for wait in waits] for position in (0, 1))
        assert 0.9 < max(first) <= 1.0  # up to base_delay …
        assert 1.8 < max(second) <= 2.0  # … and up to twice that
        assert len(set(first)) == len(first)  # nobody comes back together


class TestRow13EndedSpansLeaveMemory:
    """10,000 ended spans are gone; the queue in front of a stuck exporter is bounded, and what it drops is counted."""

    class NaiveSpan:
        def __init__(self, name: str) -> None:
            self.name = name

        def end(self) -> None:
            self.ended = True

    class NaiveTracer:
        """The original's: it puts every span into a collection, and nothing ever takes one out."""

        def __init__(self) -> None:
            self.spans: list[TestRow13EndedSpansLeaveMemory.NaiveSpan] = []

        @contextmanager
        def start_span(self, name: str) -> Iterator[None]:
            span = TestRow13EndedSpansLeaveMemory.NaiveSpan(name)
            self.spans.append(span)
            yield
            span.end()

    @staticmethod
    def end_spans(tracer: Any, count: int) -> None:
        for number in range(count):
            with tracer.start_span(f"span {number}"):
                pass

    @classmethod
    def alive(cls) -> int:
        """How many spans of whatever kind there are in this process."""
        gc.collect()
        return sum(isinstance(each, cls.NaiveSpan | ReadableSpan | Span) for each in gc.get_objects())

    def test_the_naive_one_still_holds_them_all(self) -> None:
        tracer, before = self.NaiveTracer(), self.alive()

        self.end_spans(tracer, 10_000)

        assert self.alive() - before == 10_000

    @pytest.mark.parametrize("exports", [True, False])
    def test_ours_holds_none(self, exports: bool) -> None:
        exporter = CountingExporter()
        exporter.free.set()
        tracer, before = Tracer("order", exporter=exporter if exports else None, capacity=10_000), self.alive()

        self.end_spans(tracer, 10_000)
        assert tracer.force_flush(timeout=30)

        assert self.alive() - before == 0
        assert exporter.seen == (10_000 if exports else 0)
        assert tracer.dropped == 0

    def test_ours_holds_no_more_than_its_queue_when_the_exporter_is_stuck(self) -> None:
        exporter = CountingExporter()
        tracer, before = Tracer("order", exporter=exporter, capacity=100, batch=100), self.alive()
        self.end_spans(tracer, 100)
        assert exporter.busy.wait(30)  # the first hundred are on their way and stay there

        self.end_spans(tracer, 9_900)

        assert self.alive() - before == 200
        assert tracer.dropped == 9_800
        exporter.free.set()
        tracer.shutdown(timeout=30)


class CountingExporter(SpanExporter):
    """Keeps nothing but a number, and is stuck until `free` is set."""

    def __init__(self) -> None:
        self.seen = 0
        self.busy, self.free = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.busy.set()
        self.free.wait(30)
        self.seen += len(spans)
        return SpanExportResult.SUCCESS
