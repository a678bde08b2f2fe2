"""Spans by OTLP: what a collector gets, and whom the exporter believes to be one."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cortex_core.observability import Tracer
from cortex_core.observability.exporters import otlp_exporter

TRUST = (  # the last two are requests' own, and stronger than what it is told
    *("SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
Received = list[tuple[str, str | None, bytes]]


@contextmanager
def collector(certificate: Path | None = None) -> Iterator[tuple[int, Received]]:
    """The port it listens on, by TLS where there is a certificate; and the paths, kinds and bodies that it was sent."""
    received: Received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port, received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def end_a_span(endpoint: str, timeout: float = 5.0) -> Tracer:
    tracer = Tracer("order-traced", exporter=otlp_exporter(endpoint, timeout=timeout))
    with tracer.start_span("POST /orders"):
        pass
    tracer.shutdown()
    return tracer


def test_otlp_reaches_a_collector_over_http() -> None:
    with collector() as (port, received):
        tracer = end_a_span(f"http://127.0.0.1:{port}/")

    ((path, kind, body),) = received
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert b"order-traced" in body
    assert b"POST /orders" in body
    assert tracer.dropped == 0


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    return file


@pytest.mark.parametrize(
    ("variable", "taken"), [("SSL_CERT_FILE", 1), ("OTEL_EXPORTER_OTLP_CERTIFICATE", 1), ("ANOTHER", 0)]
)
def test_a_private_collector_is_believed_by_the_hubs_own_variable(
    variable: str, taken: int, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TRUST:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(private))

    with collector(private) as (port, received):
        tracer = end_a_span(f"https://localhost:{port}", timeout=5.0 if taken else 0.2)

    assert (len(received), tracer.dropped) == (taken, 1 - taken)
