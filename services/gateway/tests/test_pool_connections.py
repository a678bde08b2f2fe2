"""What becomes of the pool's connections: those that nobody uses, those with TLS, and all of them at the end."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cortex_core.testing import eventually
from cortex_gateway.adapters.pool import connection, service

from .carrier_server import OK, Hearing, carry, departure, for_ever, replying
from .pool_front import counting, in_front_of, waiting


class TestConnections:
    async def test_one_that_nobody_uses_is_closed_after_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "KEEP_ALIVE", 0.05)
        async with in_front_of(counting(OK, [], 0)) as front:
            await carry(front.pool, timeout=0.02)
            assert front.figure("cortex_upstream_connections", state="idle") == 1
            await eventually(lambda: front.figure("cortex_upstream_connections", state="idle") == 0)
            assert (await carry(front.pool)).body == b"{}"

    async def test_the_freshest_is_used_first(self) -> None:
        seen: list[int] = []
        connections = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await counting(OK, seen, connections)(reader, writer)

        async with in_front_of(script) as front:
            both = [Hearing(), Hearing()]
            for hearing in both:
                front.pool.begin(departure(), b"", hearing)
            for hearing in both:
                await asyncio.wait_for(hearing.over.wait(), 5)
            freshest = front.order.replicas.all[0].idle[-1]
            for _ in range(5):
                await carry(front.pool)
                assert front.order.replicas.all[0].idle[-1] is freshest

        assert connections == 2

    @pytest.mark.parametrize("unasked", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"], ids=["closed", "bytes"])
    async def test_one_that_the_service_closes_or_misuses_is_forgotten(self, unasked: bytes) -> None:
        go_on = asyncio.Event()
        closed = 0

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal closed
            await replying(OK)(reader, writer)
            await go_on.wait()
            writer.write(unasked)
            if unasked:
                await reader.read()
            closed += 1

        async with in_front_of(script) as front:
            await carry(front.pool)
            assert front.order.idle() == 1
            go_on.set()
            await eventually(lambda: closed == 1 and front.order.idle() == 0)
            assert (await carry(front.pool, method=b"POST")).body == b"{}"

            assert front.figure("cortex_upstream_reuse_races_total") == 0

    async def test_a_reuse_race_is_counted(self) -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await replying(OK)(reader, writer)
            await reader.readuntil(b"\r\n\r\n")

        async with in_front_of(script) as front:
            for _ in range(3):
                assert (await carry(front.pool, retry=True)).body == b"{}"

            assert front.figure("cortex_upstream_reuse_races_total") == 2
            assert front.order.replicas.all[0].failures == 0

    async def test_kept_ones_give_way_where_others_are_needed(self) -> None:
        go_on = asyncio.Event()
        slow = waiting(go_on)

        async with in_front_of(slow, slow, connections=2) as front:
            for _ in range(3):
                hearings = [Hearing(), Hearing()]
                go_on.clear()
                for hearing in hearings:
                    front.pool.begin(departure(), b"", hearing)
                await eventually(lambda: front.figure("cortex_upstream_connections", state="active") == 2)
                assert front.figure("cortex_upstream_outstanding") == 2
                go_on.set()
                for hearing in hearings:
                    await asyncio.wait_for(hearing.over.wait(), 5)
                first, second = front.order.replicas.all
                first.outstanding += 1  # as if it were busy: the other one is asked now
                assert len(first.connections) + len(second.connections) <= 2
                first.outstanding -= 1


class TestTheEnd:
    async def test_it_waits_for_what_is_under_way(self) -> None:
        hearing = Hearing()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write(OK)

        async with in_front_of(slow) as front:
            front.pool.begin(departure(), b"", hearing)
            await eventually(lambda: front.order.active() == 1)

        assert (hearing.body, hearing.error) == (b"{}", None)

    async def test_what_does_not_end_breaks_off(self) -> None:
        hearing = Hearing()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await for_ever()

        async with in_front_of(hang) as front:
            front.pool.begin(departure(), b"", hearing)
            await eventually(lambda: front.order.active() == 1)
            await front.order.aclose(0.01)

        assert hearing.heard == ["failed"]


class TestTls:
    @pytest.mark.parametrize(("name", "answered"), [("localhost", True), ("127.0.0.1", False)])
    async def test_a_service_with_tls_is_who_its_name_says(
        self, name: str, answered: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file, theirs = _certified("localhost", tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        monkeypatch.setattr(service, "_tls", service._tls.__wrapped__)  # a process asks once
        server = await asyncio.start_server(replying(OK), "127.0.0.1", 0, ssl=theirs)
        async with server, in_front_of(f"https://{name}:{server.sockets[0].getsockname()[1]}") as front:
            hearing = await carry(front.pool)

        assert (hearing.body == b"{}") is answered
        assert hearing.heard[-1] == ("completed" if answered else "failed")


def _certified(name: str, folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for `name`, and the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    pem = folder / "both.pem"
    pem.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    return pem, theirs
