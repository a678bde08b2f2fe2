"""A collector that counts: where the spans of the program under test go, so that tracing cannot have done nothing."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """OTLP over HTTP. `endpoint` is what `OTEL_EXPORTER_OTLP_ENDPOINT` wants."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans = 0
        self._lock = threading.Lock()

    @classmethod
    @contextmanager
    def running(cls) -> "Iterator[Collector]":
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        collector = cls(server.server_address[1])
        server.collector = collector  # type: ignore[attr-defined]  # a handler knows its server and nothing else
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def take(self, body: bytes) -> None:
        told = ExportTraceServiceRequest.FromString(body)
        count = sum(len(scope.spans) for resource in told.resource_spans for scope in resource.scope_spans)
        with self._lock:
            self.spans += count


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        encoding = self.headers.get("Content-Encoding")
        decode = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(encoding or "", bytes)
        self.server.collector.take(decode(body))  # type: ignore[attr-defined]  # see Collector.running
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the terminal is the benchmark's."""
