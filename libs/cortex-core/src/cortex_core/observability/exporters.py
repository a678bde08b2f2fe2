"""Where ended spans go: nowhere by default, to memory in tests, over OTLP/HTTP where an endpoint is set.

Owns the bounded queue between the work and the network. A full queue drops the newest span and counts it: the work is
never slowed down, and memory never grows, because of somebody who does not take our spans.
"""

import importlib
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_CERTIFICATE,
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE,
)
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from cortex_core.observability.logging import Logger

_log = Logger.get("cortex.tracing")
_OTLP: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def otlp_is_installed() -> bool:
    """Whether `otlp_exporter` has what it needs; found by loading it, for a part of it may be missing."""
    try:
        importlib.import_module(_OTLP)
    except ImportError:
        return False
    return True


def otlp_exporter(endpoint: str, *, timeout: float = 5.0) -> SpanExporter:
    """OTLP over HTTP to a collector or to Jaeger ≥ 1.35: `endpoint` is its base address (`http://127.0.0.1:4318`).

    `timeout` in seconds is for a whole export. Whom TLS trusts is what `SSL_CERT_FILE` names, as everywhere in the hub,
    unless OpenTelemetry's own variable names another file. Needs the extra `otlp`; raises ImportError without it.
    """
    # Late: requests and protobuf cost 60 ms of CPU and 10 MB, and only who exports needs them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    trusted = ssl.get_default_verify_paths()
    chosen = any(map(os.environ.get, (OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE, OTEL_EXPORTER_OTLP_CERTIFICATE)))
    path = endpoint.rstrip("/")
    return OTLPSpanExporter(
        path if path.endswith("/v1/traces") else f"{path}/v1/traces",
        certificate_file=None if chosen else trusted.cafile or trusted.capath,  # requests looks at certifi's alone
        timeout=timeout,
    )


class InMemoryExporter(SpanExporter):
    """Keeps what it is given, for tests to look at."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Keeps the spans: tests look at them afterwards."""

    def named(self, name: str) -> ReadableSpan:
        """The one span of that name. Raises LookupError unless there is exactly one."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans are named {name!r}; there are {[span.name for span in self.spans]}")
        return found[0]


class SpanQueue(SpanProcessor):
    """Ended spans on their way out: at most `capacity` waiting, exported in batches by a thread of its own.

    A batch leaves when `batch` spans wait, `interval` seconds after the first of them, or on a flush. The thread starts
    with the first span. `dropped` counts spans that found the queue full, came after the shutdown, or were refused by
    the exporter.
    """

    def __init__(self, exporter: SpanExporter, *, capacity: int, batch: int, interval: float) -> None:
        for name, value in (("capacity", capacity), ("batch", batch), ("interval", interval)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")
        self._exporter = exporter
        self._capacity, self._batch, self._interval = capacity, min(batch, capacity), interval
        self._changed = threading.Condition()
        self._waiting: deque[ReadableSpan] = deque()
        self._due = 0.0  # when the batch that is gathering leaves, on the monotonic clock
        self._exporting = 0
        self._flushes = 0
        self._closed = False
        self._failing = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                self.dropped += 1
                return
            self._waiting.append(span)
            if len(self._waiting) == 1:
                self._due = time.monotonic() + self._interval
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cortex-span-queue", daemon=True)
                self._thread.start()
            if len(self._waiting) in (1, self._batch):
                self._changed.notify_all()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True when everything that had ended before the call was handed to the exporter in time."""
        with self._changed:
            self._flushes += 1
            self._changed.notify_all()
            drained = self._changed.wait_for(lambda: not self._waiting and not self._exporting, timeout_millis / 1000)
            self._flushes -= 1
        return drained

    def shutdown(self, timeout: float = 5.0) -> None:
        """Exports what waits, within `timeout` seconds; counts what is left as dropped. Safe to call twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
        if not self.force_flush(int(timeout * 1000)):
            with self._changed:
                self.dropped += len(self._waiting)
                self._waiting.clear()
        self._exporter.shutdown()

    def _run(self) -> None:
        while batch := self._next_batch():
            lost = 0 if self._export(batch) else len(batch)
            batch.clear()  # or this frame would hold the last spans for as long as it waits for the next
            with self._changed:
                self._exporting = 0
                self.dropped += lost
                self._changed.notify_all()

    def _next_batch(self) -> list[ReadableSpan]:
        """Waits until one is to leave. Empty when the queue is closed and nothing waits."""
        with self._changed:
            while not self._ready():
                self._changed.wait(max(0.0, self._due - time.monotonic()) if self._waiting else None)
            taken = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            self._due = time.monotonic() + self._interval
            self._exporting = len(taken)
            return taken

    def _ready(self) -> bool:
        if not self._waiting:
            return self._closed
        full = len(self._waiting) >= self._batch
        return full or self._closed or self._flushes > 0 or time.monotonic() >= self._due

    def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            done = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - the thread lives for ever: what an exporter raises is one lost batch
            _log.exception("spans could not be exported", spans=len(batch))
            return False
        if done == self._failing:  # said once when it begins and once when it is over, not with each batch
            self._failing = not done
            _log.info("spans are exported again") if done else _log.warning("spans are refused by the exporter")
        return done
