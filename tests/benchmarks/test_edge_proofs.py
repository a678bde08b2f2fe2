"""A feature of ours that silently did nothing makes the run worthless: these notice."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from benchmarks.edge import ours
from benchmarks.edge.collector import Collector

from .standing import standing

ALL = {
    "Content-Security-Policy": "x",
    "X-Content-Type-Options": "nosniff",
    "X-Request-Id": "1",
    "RateLimit-Policy": "x",
}


class Gateway:
    """Stands for ours: what it says is what the test has it say."""

    def __init__(self) -> None:
        self.headers = {**ALL, "X-RateLimit-Remaining": str(ours.LIMIT)}
        self.metrics = ""
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = gateway.metrics.encode() if self.path == "/metrics" else b"{}"
                self.send_response(200)
                for name, value in gateway.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    stand_in = Gateway()
    with standing(stand_in.server):
        yield stand_in


@pytest.fixture
def collector() -> Collector:
    return Collector(1)


def watch(gateway: Gateway, collector: Collector) -> ours.Watch:
    return ours.Watch(gateway.address, f"{gateway.address}/metrics", "/api", {}, collector)


def counted(*figures: int) -> str:
    """The metrics' text; a route's braces stand among the labels."""
    lines = [
        f'cortex_hub_http_requests_total{{route="/api/x/{{id}}",n="{n}"}} {each}.0' for n, each in enumerate(figures)
    ]
    return "\n".join(["# HELP cortex_hub_http_requests_total x", *lines, 'other_total{a="b"} 99.0', ""])


def test_all_headers_are_there(gateway: Gateway, collector: Collector) -> None:
    watch(gateway, collector).check_headers()


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_missing_header_ends_the_run(gateway: Gateway, collector: Collector, name: str) -> None:
    del gateway.headers[name]

    with pytest.raises(SystemExit, match=f"without {name.lower()}"):
        watch(gateway, collector).check_headers()


def test_a_limiter_that_did_not_count_ends_the_run(gateway: Gateway, collector: Collector) -> None:
    looking = watch(gateway, collector)

    with pytest.raises(SystemExit, match="the limiter counted 0 of 1000"):
        looking.check_limiter(1000)

    gateway.headers["X-RateLimit-Remaining"] = str(ours.LIMIT - 1000)
    looking.check_limiter(1000)


def test_metrics_that_did_not_count_end_the_run(gateway: Gateway, collector: Collector) -> None:
    gateway.metrics = counted(100, 50)
    looking = watch(gateway, collector)
    gateway.metrics = counted(1000, 149)

    with pytest.raises(SystemExit, match="the metrics tell of 999 of 1000"):
        looking.check_telemetry(1000)


def test_spans_that_did_not_arrive_end_the_run(
    gateway: Gateway, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "_PATIENCE", 0.0)
    looking = watch(gateway, collector)
    gateway.metrics = counted(1000)
    collector.spans += 3  # of ten

    with pytest.raises(SystemExit, match="3 spans arrived for 1000 requests"):
        looking.check_telemetry(1000)

    collector.spans += 1
    assert looking.check_telemetry(1000) == "1,000 requests, 1,000 counted by the metrics, 4 spans at the collector"


def test_the_collector_counts_spans_wherever_they_are() -> None:
    scope = ScopeSpans(spans=[Span(name="a"), Span(name="b")])
    told = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[scope, scope])])
    collector = Collector(1)

    collector.take(told.SerializeToString())

    assert collector.spans == 4
