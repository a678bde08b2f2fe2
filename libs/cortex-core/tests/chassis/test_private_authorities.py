"""Whom TLS trusts is told by a variable, as the chart does for an authority of one's own: SSL_CERT_FILE, and for
PostgreSQL PGSSLROOTCERT. Real servers behind a certificate that such an authority has signed."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cortex_core.events import BusUnavailable
from cortex_core.events.redis import RedisEventBus
from cortex_core.resilience.redis import RedisBallot
from cortex_core.resilience.sharing import BallotUnavailable
from cortex_core.testing import RedisServer
from cortex_core.testing.contracts.bus import order_event


@dataclass(frozen=True)
class Signed:
    """The authority's certificate, and a server's for localhost with its key."""

    authority: Path
    server: ssl.SSLContext


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("ours", "localhost")]
    now = datetime.now(UTC)
    made = []
    for number, (key, name) in enumerate(zip(keys, names, strict=True)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=number == 0, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    authority, both = tmp_path / "ca.crt", tmp_path / "both.pem"
    authority.write_bytes(made[0])
    both.write_bytes(made[1] + keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both)
    return Signed(authority, server)


@asynccontextmanager
async def behind_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port of TLS before a plain one: not every redis-server that tests find is built with it."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    carrying: list[asyncio.Future[Any]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        both = asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer), return_exceptions=True)
        carrying.append(both)
        await both

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*carrying), 30)  # who has hung up ends them


@pytest.fixture
async def secure_redis(redis_url: str, signed: Signed) -> AsyncIterator[str]:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with behind_tls(port, signed.server) as outer:
        yield f"rediss://localhost:{outer}/0"


async def test_redis_is_believed_by_the_authority_of_the_variable(
    secure_redis: str, redis_server: RedisServer, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(signed.authority))

    bus = RedisEventBus(secure_redis, timeout=30)  # who gives up sends it again
    async with aclosing(bus), aclosing(RedisBallot(secure_redis, "order")) as ballot:
        await bus.publish([order_event(0)])
        await ballot.cast(0)

    assert redis_server.command("XLEN", "cortex:public:events:order") == 1


async def test_redis_is_not_believed_without(secure_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    async with aclosing(RedisEventBus(secure_redis)) as bus, aclosing(RedisBallot(secure_redis, "order")) as ballot:
        with pytest.raises(BusUnavailable):
            await bus.publish([order_event(0)])
        with pytest.raises(BallotUnavailable):
            await ballot.cast(0)


ASK = """
import asyncio, sys
from cortex_core.chassis.client import ServiceClient

async def main():
    client = ServiceClient()
    try:
        print((await client.request("GET", sys.argv[1], retry=False)).status)
    finally:
        await client.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("told", [True, False])
async def test_a_service_is_believed_by_it_too(signed: Signed, told: bool) -> None:
    """In a process of its own: the client reads the variable when it is imported."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=signed.server)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ASK, url),
            env={"SSL_CERT_FILE": str(signed.authority)} if told else {},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await asked.communicate()

    assert (out == b"204\n") is told
    assert (asked.returncode == 0) is told
