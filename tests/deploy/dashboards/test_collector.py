"""A real OpenTelemetry Collector takes a span as our services send it, and hands it on: `CORTEX_TEST_COLLECTOR` is its
program (with OTLP in and out, and the debug exporter)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cortex_core.observability import Tracer
from cortex_core.observability.exporters import otlp_exporter
from cortex_core.testing import free_port

from .collecting import FOLDER, eventually, listens, program

PROGRAM = program()
TRACES = FOLDER / "traces.yml"
SINK = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}
"""


@contextmanager
def collector(log: Path, port: int, *configurations: str, **environment: str) -> Iterator[None]:
    """Ready when it listens on `port`."""
    told = [f"--config={each}" for each in configurations]
    with log.open("wb") as out:
        process = subprocess.Popen([PROGRAM, *told], stdout=out, stderr=out, env={**os.environ, **environment})
        try:
            eventually(lambda: listens(port), log)
            yield
        finally:
            process.terminate()
            process.wait(20)


def test_the_configuration_is_one() -> None:
    done = subprocess.run([PROGRAM, "validate", f"--config={TRACES}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_span_reaches_who_keeps_them(tmp_path: Path) -> None:
    grpc, http, end = free_port(), free_port(), free_port()
    (tmp_path / "sink.yml").write_text(SINK.format(port=end))
    here = [
        f"yaml:receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:{grpc}",
        f"yaml:receivers::otlp::protocols::http::endpoint: 127.0.0.1:{http}",
    ]
    sink, log = tmp_path / "sink.log", tmp_path / "traces.log"
    with ExitStack() as stack:
        stack.enter_context(collector(sink, end, str(tmp_path / "sink.yml")))
        stack.enter_context(collector(log, http, str(TRACES), *here, JAEGER_ENDPOINT=f"127.0.0.1:{end}"))
        tracer = Tracer("order", exporter=otlp_exporter(f"http://127.0.0.1:{http}"))
        with tracer.start_span("POST /orders") as span:
            trace_id = span.context.trace_id
        await tracer.aclose()

        eventually(lambda: trace_id in sink.read_text(), log)

    assert "service.name: Str(order)" in sink.read_text()
    assert "POST /orders" in sink.read_text()
