"""A container as Compose and Kubernetes run it: nobody's user, nothing writable, no capability; it becomes healthy, and
ends when told to."""

import base64
import json
import secrets
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cortex_cli.demo.run import demonstrate

pytestmark = pytest.mark.timeout(600)  # an engine that is busy with others is slow
TOPOLOGY = {"gateway": 3000, "order": 3001, "notification": 3002, "analytics": 3003, "storage": 3004, "compute": 3005}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _options(service: str, network: str, redis_url: str) -> tuple[str, ...]:
    return (
        *("--network", network, "--network-alias", service, "-e", "CORTEX_ENV=development"),
        *("-e", f"CORTEX_REDIS_URL={redis_url}", "-e", f"{service.upper()}_DRAIN_DELAY=0"),
    )


def test_any_user_with_nothing_but_its_data_runs_it_and_sigterm_drains_it(
    engine: Any, service: str, hardened: tuple[str, ...], redis: tuple[str, str]
) -> None:
    options = (*_options(service, *redis), *hardened, "--memory", "400m")
    name = engine.run(engine.image(service), options=options)
    engine.healthy(name)

    engine.said("kill", "-s", "TERM", name)

    assert engine.ended(name) == 0, engine.logs(name)
    assert "Traceback" not in engine.logs(name)


_COLLECTOR = """
import base64, http.server, json
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(json.dumps([self.path, base64.b64encode(body).decode()]), flush=True)
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 4318), Collector).serve_forever()
"""
_ASK = """
import urllib.request
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:{}/metrics", headers={{"traceparent": "{}"}}))
"""


def test_its_traces_go_where_it_is_told(
    engine: Any, service: str, hardened: tuple[str, ...], redis: tuple[str, str]
) -> None:
    """A request to the service is a span at a collector, in the trace that the request named."""
    network, _ = redis
    aside = ("--network", network, "--network-alias", "collector", "--no-healthcheck", "--entrypoint=python")
    collector = engine.run(engine.image(service), "-c", _COLLECTOR, options=aside)
    told = ("-e", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318")
    name = engine.run(engine.image(service), options=(*_options(service, *redis), *hardened, *told))
    engine.healthy(name)
    trace_id = secrets.token_hex(16)

    engine.said("exec", name, "python", "-c", _ASK.format(TOPOLOGY[service], f"00-{trace_id}-{'1' * 16}-01"))
    engine.said("kill", "-s", "TERM", name)

    assert engine.ended(name) == 0, engine.logs(name)
    assert "GET /metrics" in _spans(engine.logs(collector), service, trace_id), engine.logs(name)[-3000:]
    assert "Warning" not in engine.logs(name)


def _spans(received: str, service: str, trace_id: str) -> set[str]:
    """The names of those that `service` has sent of the trace."""
    names = set()
    for path, body in map(json.loads, received.splitlines()):
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(base64.b64decode(body)).resource_spans:
            assert ("service.name", service) in [(at.key, at.value.string_value) for at in resource.resource.attributes]
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            names |= {span.name for span in spans if span.trace_id.hex() == trace_id}
    return names


def test_sigterm_is_heard_while_it_starts(engine: Any, service: str) -> None:
    """Process 1 has no default action: unheard, the signal would be lost, and the container be killed at the end."""
    program = "import signal; signal.raise_signal(signal.SIGTERM); signal.pause()"
    name = engine.run(engine.image(service), "-c", program, options=("--entrypoint", "python"))

    assert engine.ended(name) == 128 + 15


def test_sigterm_ends_the_sandbox_well(engine: Any, hardened: tuple[str, ...]) -> None:
    program = ("-m", "cortex_order.sandbox", "--host", "0.0.0.0", "--port", "3010")
    aside = ("--entrypoint=python", "-e", "CORTEX_ENV=development")
    look = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:3010/health/ready').status)"
    name = engine.run(engine.image("order"), *program, options=(*hardened, *aside, "--no-healthcheck"))
    end = time.monotonic() + 300
    while engine.said("exec", name, "python", "-c", look, check=False) != "200":
        assert time.monotonic() < end, engine.logs(name)

    engine.said("kill", "-s", "TERM", name)

    assert engine.ended(name) == 0, engine.logs(name)


def test_workers_of_process_1_are_replaced_and_its_orphans_reaped(
    engine: Any, redis: tuple[str, str], hardened: tuple[str, ...]
) -> None:
    options = (*_options("notification", *redis), *hardened)
    name = engine.run(engine.image("notification"), "--workers", "2", options=options)
    engine.healthy(name)
    look = """
import json, os, signal
state = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        continue
    state[int(pid)] = [fields[0], int(fields[1])]
print(json.dumps(state))
"""

    def processes() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = json.loads(engine.said("exec", name, "python", "-c", look))
        return {pid: what for pid, what in found.items() if what[1] == 1}

    first = processes()
    orphan = "import os\nif os.fork(): os._exit(0)\nwhile os.getppid() != 1: os.sched_yield()"
    engine.said("exec", "-d", name, "python", "-c", orphan)
    engine.said("exec", name, "python", "-c", f"import os; os.kill({min(map(int, first))}, 9)")

    end = time.monotonic() + 300
    while not (
        len(now := processes()) == 2 and now.keys() != first.keys() and "Z" not in [it[0] for it in now.values()]
    ):
        assert time.monotonic() < end, (first, now)
    engine.said("kill", "-s", "TERM", name)

    assert engine.ended(name) == 0, engine.logs(name)


_TLS = """
import asyncio, json, ssl, sys
import aiohttp
async def main():
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain("/tls/tls.pem")
    async def answer(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\nok")
        await writer.drain(); writer.close()
    listening = await asyncio.start_server(answer, "127.0.0.1", 8443, ssl=server)
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get("https://localhost:8443/") as said:
                heard = await said.text()
        except aiohttp.ClientConnectorCertificateError:
            heard = "refused"
    print(json.dumps(heard))
asyncio.run(main())
"""


def test_tls_trusts_whom_it_is_told_to(engine: Any, tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_bytes(_self_signed())
    (tmp_path / "tls.pem").chmod(0o644)
    tmp_path.chmod(0o755)
    mount = ("-v", f"{tmp_path}:/tls:ro")

    assert engine.python("gateway", _TLS, *mount) == "refused"
    assert engine.python("gateway", _TLS, *mount, "-e", "SSL_CERT_FILE=/tls/tls.pem") == "ok"


def _self_signed() -> bytes:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pkcs8 = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def test_the_six_and_the_sandbox_are_a_hub_that_passes_the_demonstration(
    engine: Any, redis: tuple[str, str], hardened: tuple[str, ...], tmp_path: Path
) -> None:
    """Redis, PostgreSQL (orders; migrated by `db upgrade`), SQLite (analytics, storage), the six and the sandbox."""
    network, redis_url = redis
    on = ("--network", network)
    secret = "POSTGRES_PASSWORD=dev-images"
    engine.run(
        "postgres:16-bookworm", options=(*on, "--network-alias", "postgres", "-e", secret, "-e", "POSTGRES_USER=order")
    )
    database = ("-e", "ORDER_DATABASE_URL=postgresql+asyncpg://order:dev-images@postgres:5432/order")
    _migrated(engine, (*_options("order", network, redis_url), *hardened, *database))
    aside = ("--network-alias=payments", "--no-healthcheck", "--entrypoint=python")
    sandbox = ("--host", "0.0.0.0", "--port", "3010")
    engine.run(
        engine.image("order"), "-m", "cortex_order.sandbox", *sandbox,
        options=(*on, *hardened, *aside, "-e", "CORTEX_ENV=development"),
    )  # fmt: skip
    port = _free_port()
    extra = {
        "order": (*database, "-e", "ORDER_PAYMENT_URL=http://payments:3010"),
        "gateway": (
            *("-p", f"127.0.0.1:{port}:3000", "-e", "GATEWAY_RATE_LIMIT_PER_MINUTE=100000"),
            *(word for name, at in TOPOLOGY.items() if name != "gateway" for word in ("-e", f"GATEWAY_{name.upper()}_URL=http://{name}:{at}")),
        ),
    }  # fmt: skip
    names = {
        each: engine.run(
            engine.image(each), options=(*_options(each, network, redis_url), *hardened, *extra.get(each, ()))
        )
        for each in TOPOLOGY
    }
    for name in names.values():
        engine.healthy(name)

    status = demonstrate(f"http://127.0.0.1:{port}", tuple(TOPOLOGY), tmp_path, as_json=True)

    assert status == 0, {each: engine.logs(name)[-1500:] for each, name in names.items()}
    for each, name in names.items():
        assert "Traceback" not in engine.logs(name), each
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs") as page:
        assert page.status == 200


def _migrated(engine: Any, options: tuple[str, ...]) -> None:
    end = time.monotonic() + 300
    words = ("run", "--rm", *options, engine.image("order"), "db", "upgrade")
    while "reached" not in (said := engine.said(*words, check=False)):
        assert time.monotonic() < end, said
    assert "is current" in engine.said(*words)
