"""A service as a process: starts, drains, and when it cannot start says why in one line."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cortex_core.testing import free_port

PROGRAM = """
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from cortex_core.chassis import Config, create_app, development, serve, service_config
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import CortexError, Kind


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"
    kettle: str = development("on", description="Where the tea is made.")


class KettleIsCold(CortexError):
    code, kind = "kettle.cold", Kind.UNAVAILABLE


@asynccontextmanager
async def running(platform):
    if platform.settings.kettle == "cold":
        raise KettleIsCold("the kettle is cold: light the fire")
    yield None


if __name__ == "__main__":
    serve(lambda settings: create_app(settings, running=running, routers=[], bus=MemoryEventBus()), Settings)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tea.py"
    path.write_text(PROGRAM)
    return path


def start(program: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, str(program), *words],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_wrong_settings_end_it_with_78_and_a_line(program: Path) -> None:
    process = start(program)

    _, complaint = process.communicate(timeout=30)

    assert process.returncode == 78
    assert len(complaint.splitlines()) == 1
    assert complaint.startswith("tea: production needs its own value for CORTEX_REDIS_URL, TEA_KETTLE (set CORTEX_ENV")


@pytest.mark.parametrize("words", [["--help"], ["db", "upgrade", "-h"]])
def test_help_tells_words_and_settings_and_needs_none(program: Path, words: list[str]) -> None:
    process = start(program, *words)

    said, complaint = process.communicate(timeout=30)

    assert (process.returncode, complaint) == (0, "")
    lines = said.splitlines()
    assert lines[:3] == [
        f"usage: python {program} [--workers N]",
        f"       python {program} events groups | dead-letters list, replay, drop",
        "",
    ]
    assert ["TEA_KETTLE", "Where the tea is made."] in [line.split(maxsplit=1) for line in lines]
    assert {"TEA_SERVER_WORKERS", "CORTEX_ENV"} <= set(said.split())
    assert max(len(line) for line in lines[2:]) <= 120  # the first ones hold a path of the test's


def test_help_of_a_service_with_commands_tells_them(program: Path) -> None:
    commands = program.read_text().replace("Settings)\n", "Settings, migrations=['here'], projections=['names'])\n")
    program.write_text(commands)
    process = start(program, "--help")

    said, _ = process.communicate(timeout=30)

    assert said.splitlines()[:3] == [
        f"usage: python {program} [--workers N]",
        f"       python {program} db upgrade [--wait SECONDS]",
        f"       python {program} projections status | rebuild NAME | abandon NAME",
    ]


def test_a_word_it_does_not_know_ends_it_with_64_and_a_line(program: Path) -> None:
    process = start(program, "serve", "--workers=2")

    _, complaint = process.communicate(timeout=30)

    assert process.returncode == 64
    assert complaint == "tea: 'serve --workers=2' is no command; --help tells what is\n"


def test_a_taken_port_ends_it_with_69_and_a_line(program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(program, CORTEX_ENV="development", TEA_PORT=str(port))
        _, complaint = process.communicate(timeout=30)

    assert process.returncode == 69
    assert complaint.splitlines() == [f"tea: cannot listen on 127.0.0.1:{port}: Address already in use; set TEA_PORT"]


def test_what_it_cannot_do_without_ends_it_with_69_and_a_line(program: Path) -> None:
    process = start(program, CORTEX_ENV="development", TEA_PORT=str(free_port()), TEA_KETTLE="cold")

    out, complaint = process.communicate(timeout=30)

    assert process.returncode == 69
    assert complaint.splitlines() == ["tea: the kettle is cold: light the fire"]
    assert "Traceback" not in out


def test_sigterm_drains_and_exits_zero(program: Path) -> None:
    port = free_port()
    process = start(program, CORTEX_ENV="development", TEA_PORT=str(port))
    wait_until_live(port)

    process.send_signal(signal.SIGTERM)
    out, complaint = process.communicate(timeout=10)

    assert (process.returncode, complaint) == (0, "")
    assert '"draining"' in out


def wait_until_live(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nothing answers on {port}")
