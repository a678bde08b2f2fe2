"""The PostgreSQL of tests: started as nobody in particular, stopped, killed, paused, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import asyncpg
import pytest

from cortex_core.testing import PostgresServer, eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


async def value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return False


@pytest.mark.parametrize("kill", [False, True])
async def test_data_and_address_survive_stop_and_start(
    postgres_server: PostgresServer, postgres_url: str, kill: bool
) -> None:
    await value(postgres_url, "CREATE TABLE kept AS SELECT 7 AS number")
    pid = postgres_server.pid

    postgres_server.stop(kill=kill)
    with pytest.raises(OSError):
        await value(postgres_url, "SELECT 1")
    postgres_server.start()

    assert await value(postgres_url, "SELECT number FROM kept") == 7
    assert postgres_server.pid != pid


async def test_a_kill_is_a_crash_it_recovers_from(postgres_server: PostgresServer, postgres_url: str) -> None:
    postgres_server.stop(kill=True)
    postgres_server.start()

    assert "was not properly shut down" in (postgres_server.folder / "log").read_text()
    assert await value(postgres_url, "SELECT 1") == 1


async def test_a_kill_leaves_no_connection_alive(postgres_server: PostgresServer, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    backend = await connection.fetchval("SELECT pg_backend_pid()")

    postgres_server.stop(kill=True)

    assert not alive(backend)
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")


async def test_paused_it_answers_nobody_until_it_is_resumed(postgres_server: PostgresServer, postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    postgres_server.pause()
    try:
        asked = asyncio.create_task(connection.fetchval("SELECT 1"))
        another = asyncio.create_task(value(postgres_url, "SELECT 2"))
        await asyncio.wait([asked, another], timeout=0.05)
        assert not asked.done() and not another.done()
    finally:
        postgres_server.resume()

    assert (await asked, await another) == (1, 2)
    await connection.close()


async def test_it_keeps_what_it_acknowledges_unless_told_otherwise(postgres_url: str) -> None:
    assert await value(postgres_url, "SELECT current_setting('fsync')") == "on"
    with PostgresServer.running(fsync=False, settings={"max_connections": "7"}) as fast:
        assert await value(fast.url, "SELECT current_setting('fsync')") == "off"
        assert await value(fast.url, "SELECT current_setting('max_connections')") == "7"


async def test_the_password_is_asked_for(postgres_url: str) -> None:
    head, _, tail = postgres_url.partition("@")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await value(f"{head}x@{tail}", "SELECT 1")


async def test_text_is_utf8(postgres_url: str) -> None:
    assert await value(postgres_url, "SELECT current_setting('server_encoding') || lower('ÄÖ')") == "UTF8äö"


def test_rows_come_as_text(postgres_server: PostgresServer, postgres_url: str) -> None:
    assert postgres_server.execute("SELECT 1, NULL, 'ü'; SELECT true") == [("1", None, "ü"), ("t",)]
    with pytest.raises(RuntimeError, match='42P01: relation "nowhere" does not exist'):
        postgres_server.execute("SELECT * FROM nowhere")


async def test_the_fixture_gives_an_empty_database(postgres_url: str) -> None:
    assert await value(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await value(postgres_url, "CREATE TABLE left_over (number int)")


async def test_the_fixture_gives_an_empty_database_also_after_another(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    assert await value(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await value(postgres_url, "CREATE TABLE left_over (number int)")
    postgres_server.stop()


def test_a_database_is_dropped_whoever_is_connected(postgres_server: PostgresServer) -> None:
    async def stay_connected() -> None:
        with postgres_server.database() as url:
            connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        connection.terminate()

    asyncio.run(stay_connected())

    assert postgres_server.execute("SELECT 1 FROM pg_database WHERE datname LIKE 'test%'") == []


def test_nothing_is_left_behind() -> None:
    memory = Path("/proc/sysvipc/shm")
    before = memory.read_text()
    with PostgresServer.running() as server:
        pid, folder = server.pid, server.folder
        assert pid is not None and alive(pid)
        assert memory.read_text() != before

    assert not alive(pid)
    assert not folder.exists()
    assert str(pid) not in memory.read_text().split()


def test_it_dies_with_a_test_process_that_is_killed() -> None:
    program = """
        import time
        from cortex_core.testing import PostgresServer
        with PostgresServer.running() as server:
            print(server.pid, server.folder, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        pid, folder = holder.stdout.readline().decode().split()
        assert alive(int(pid))

        holder.send_signal(signal.SIGKILL)

    asyncio.run(eventually(lambda: not alive(int(pid))))
    subprocess.run(["rm", "-r", folder], check=True)  # nobody was left to remove it


def test_it_outlives_the_thread_that_started_it(postgres_server: PostgresServer) -> None:
    postgres_server.stop()
    starter = threading.Thread(target=postgres_server.start)
    starter.start()
    starter.join()

    assert postgres_server.execute("SELECT 1") == [("1",)]
    pid = postgres_server.pid
    postgres_server.start()
    assert postgres_server.pid == pid
