"""A URL may ask for TLS, and then gets nothing less."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cortex_core.eventsourcing import EventStoreUnavailable
from cortex_core.eventsourcing.sql import open_event_store
from cortex_core.testing import PostgresServer, eventually


def certificate(folder: Path, name: str) -> Path:
    """For 127.0.0.1, signed by itself, its key beside it."""
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", key, "-out", made], check=True, capture_output=True)
    key.chmod(0o600)
    return made


@pytest.fixture
def secure_server() -> Iterator[PostgresServer]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    with PostgresServer.running() as server:
        [(built,)] = server.execute("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'")
        if "ssl" not in str(built):
            pytest.skip("this PostgreSQL was built without TLS")
        made = certificate(server.folder, "server")
        owner = server.folder.stat()
        for file in (made, made.with_suffix(".key")):
            os.chown(file, owner.st_uid, owner.st_gid)
        server.execute(f"ALTER SYSTEM SET ssl_cert_file = '{made}'")
        server.execute(f"ALTER SYSTEM SET ssl_key_file = '{made.with_suffix('.key')}'")
        server.execute("ALTER SYSTEM SET ssl = 'on'")
        server.execute("SELECT pg_reload_conf()")
        asyncio.run(eventually(lambda: server.execute("SHOW ssl") == [("on",)]))
        yield server


async def test_a_server_is_known_by_its_certificate(secure_server: PostgresServer, tmp_path: Path) -> None:
    url = f"{secure_server.url}?sslmode=verify-full&sslrootcert="

    async with open_event_store(f"{url}{secure_server.folder}/server.pem") as store, store.reading() as connection:
        used = await connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        assert used.scalar_one() is True
    stranger = await asyncio.to_thread(certificate, tmp_path, "stranger")
    with pytest.raises(EventStoreUnavailable, match="certificate verify failed"):
        async with open_event_store(f"{url}{stranger}"):
            pass


async def test_whom_it_trusts_a_variable_may_say(
    secure_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chart's `trust`: the URL has `sslmode`, and no path into a container."""
    url = f"{secure_server.url}?sslmode=verify-full"
    monkeypatch.setenv("PGSSLROOTCERT", f"{secure_server.folder}/server.pem")

    async with open_event_store(url) as store, store.reading() as connection:
        used = await connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
        assert used.scalar_one() is True
    monkeypatch.setenv("PGSSLROOTCERT", str(await asyncio.to_thread(certificate, tmp_path, "stranger")))
    with pytest.raises(EventStoreUnavailable, match="certificate verify failed"):
        async with open_event_store(url):
            pass


async def test_a_server_without_it_is_not_spoken_to(postgres_url: str) -> None:
    with pytest.raises(EventStoreUnavailable) as caught:
        async with open_event_store(f"{postgres_url}?sslmode=require"):
            pass

    assert caught.value.attempted is False
