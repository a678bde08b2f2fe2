"""A hub in small, run by the real command in real processes, and looked at from outside."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cortex_core.events.redis import RedisEventBus

from .bus_scenes import ENVIRONMENT, Cortex

FAKEHUB = Path(__file__).parent / "fakehub"


class Hub:
    """One state folder and the commands run on it, in a stranger's environment: no terminal, little in `env`."""

    def __init__(self, folder: Path, port_base: int) -> None:
        self.folder = folder
        self.state = folder / ".cortex"
        self.port_base = port_base
        self.env = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "CORTEX_TOPOLOGY": str(FAKEHUB / "topology.toml"),
            "PYTHONPATH": str(FAKEHUB),
        }
        self.started: list[subprocess.Popen[str]] = []

    def cortex(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cortex_cli.main", *arguments],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def up(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """In the foreground of another process; returns at once."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cortex_cli.main", "up", f"--port-base={self.port_base}", *arguments],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def up_and_ready(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        process = self.up(*arguments, **env)
        self.eventually(lambda: self._is_ready(process.pid) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process

    def record(self) -> dict[str, Any]:
        path = self.state / "hub.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _is_ready(self, supervisor: int) -> bool:
        record = self.record()
        return bool(record) and record["supervisor"]["pid"] == supervisor and record["phase"] == "ready"

    def pids(self) -> dict[str, int]:
        return {member["name"]: member["identity"]["pid"] for member in self.record()["members"]}

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.cortex("status", "--json").stdout)
        return told

    def service(self, name: str) -> dict[str, Any]:
        return next(row for row in self.status()["services"] if row["name"] == name)

    def url(self, offset: int) -> str:
        return f"http://127.0.0.1:{self.port_base + offset}"

    def get(self, offset: int, path: str) -> Any:
        with urllib.request.urlopen(self.url(offset) + path, timeout=30) as answer:
            return json.load(answer)

    @staticmethod
    def eventually(condition: Callable[[], Any], within: float = 30.0) -> Any:
        """The first truthy answer of `condition`. Fails when there is none in time (seconds)."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.03)
        raise AssertionError(f"not within {within} s: {condition}")

    @staticmethod
    def runs(pid: int) -> bool:
        """Whether a process with that number runs; a zombie that its parent has not looked at yet does not."""
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @staticmethod
    def finish(process: subprocess.Popen[str], number: signal.Signals | None = signal.SIGINT) -> tuple[int, str, str]:
        """Sends the signal, where there is one; status, output and errors once the process has ended."""
        if number is not None:
            process.send_signal(number)
        out, errors = process.communicate(timeout=60)
        return process.returncode, out, errors

    def clean_up(self) -> None:
        supervisor = self.record().get("supervisor", {}).get("pid")  # a detached one is no child of ours
        if supervisor is not None and self.runs(supervisor):
            os.kill(supervisor, signal.SIGTERM)
            self.eventually(lambda: not self.runs(supervisor))
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=30)


@pytest.fixture
def make_hub() -> Iterator[Callable[[], Hub]]:
    hubs: list[Hub] = []
    short = tempfile.mkdtemp(prefix="hub-")  # not tmp_path: a Unix socket's path has room for a hundred bytes

    def make() -> Hub:
        folder = Path(short) / str(len(hubs))
        folder.mkdir()
        hubs.append(Hub(folder, free_ports(4)))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.clean_up()
    shutil.rmtree(short)


@pytest.fixture
def hub(make_hub: Callable[[], Hub]) -> Hub:
    return make_hub()


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, below the range that the kernel hands out by itself."""
    while True:
        base = 12000 + secrets.randbelow(20000)  # not `random`: every worker has the same seed there
        listeners = [socket.socket() for _ in range(count)]
        try:
            for port, listener in enumerate(listeners, start=base):
                listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return base
        finally:
            for listener in listeners:
                listener.close()


@pytest.fixture
def cortex(redis_url: str, tmp_path: Path) -> Cortex:
    """`cortex events …`, asked of the bus at `redis_url`."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cortex_cli.main", "events", *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT | {"HOME": str(tmp_path), "CORTEX_REDIS_URL": redis_url, "COLUMNS": "200"} | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[RedisEventBus]:
    bus = RedisEventBus(redis_url)
    yield bus
    await bus.aclose()
