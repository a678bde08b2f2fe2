"""One service as several processes: a real parent, real workers, real signals."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest

from cortex_core.testing import free_port

PROGRAM = """
import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from fastapi import APIRouter

from cortex_core.chassis import Config, create_app, serve, service_config
from cortex_core.events import MemoryEventBus
from cortex_core.kernel import CortexError


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"
    cold: str = ""
    births: str = ""


router = APIRouter()


@router.get("/tea")
async def tea(slow: float = 0.0) -> dict[str, int]:
    await asyncio.sleep(slow)
    return {"pid": os.getpid()}


@asynccontextmanager
async def running(platform):
    settings = platform.settings
    if settings.cold and Path(settings.cold).exists():
        raise CortexError("the kettle is cold")
    platform.metrics.create_gauge("tea_workers", "Workers").set(1)
    yield None


if __name__ == "__main__":
    serve(lambda settings: create_app(settings, running=running, routers=[router], bus=MemoryEventBus()), Settings)
"""


class Service:
    """The program, with `--workers`; its log's lines once it has ended."""

    started: ClassVar[list["Service"]] = []

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        program = folder / "tea.py"
        program.write_text(PROGRAM)
        self.port = free_port()
        self.folder = folder
        (folder / "tmp").mkdir(exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ours = {"CORTEX_ENV": "test", "TEA_PORT": str(self.port), "TMPDIR": str(folder / "tmp")}
        with (folder / "log").open("w") as log:  # a pipe that nobody reads would stop it once it is full
            self.process = subprocess.Popen(
                [sys.executable, str(program), *arguments],
                env={**kept, **ours, **environment},
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
            )
        Service.started.append(self)

    def ask(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if body.startswith(b"{") else body.decode()
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """Who lives now, as the parent's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def ready_workers(self) -> int:
        try:
            status, text = self.ask("/metrics")
        except (OSError, http.client.HTTPException):
            return 0
        lines = [line for line in text.splitlines() if line.startswith("tea_workers ")] if status == 200 else []
        return int(float(lines[0].split()[1])) if lines else 0

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, (self.folder / "log").read_text(), err


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.02)
    raise AssertionError(f"never: {what}")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """However a test goes: a parent that is killed takes its workers along."""
    yield
    while Service.started:
        Service.started.pop().end(signal.SIGKILL)


@pytest.fixture
def two(tmp_path: Path) -> Service:
    service = Service(tmp_path, "--workers", "2")
    until(lambda: service.ready_workers() == 2, "two workers")
    return service


def test_both_serve_and_either_tells_the_metrics_of_both(two: Service) -> None:
    pids = two.workers()
    before = {two.ask("/tea")[1]["pid"] for _ in range(5)}

    text = two.ask("/metrics")[1]

    assert len(pids) == 2
    assert before <= pids
    assert 'cortex_hub_http_requests_total{method="GET",route="/tea",service="tea",status="200"} 5.0' in text
    assert "process_resident_memory_bytes" in text


def test_sigterm_drains_all_and_leaves_nothing(two: Service, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", two.port)) as client:
        client.sendall(b"GET /tea?slow=0.5 HTTP/1.1\r\nHost: tea\r\n\r\n")
        until(lambda: _is_inside(two), "the request is in progress")
        pids = two.workers()
        status, out, err = two.end()
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 200")
    assert (status, err) == (0, "")
    assert out.count('"draining"') == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert list((tmp_path / "tmp").iterdir()) == []


def _is_inside(service: Service) -> bool:
    """A second client's request does not prove that the first one's has been read; that the kernel holds none does."""
    waiting = Path("/proc/net/tcp").read_text().splitlines()
    local = f"0100007F:{service.port:04X}"
    rows = [line.split() for line in waiting if line.split()[1] == local and line.split()[3] == "01"]
    return bool(rows) and all(row[4].endswith(":00000000") for row in rows)


def test_a_worker_that_dies_is_started_anew_and_nobody_else_notices(two: Service) -> None:
    victim, other = sorted(two.workers())

    os.kill(victim, signal.SIGKILL)

    until(lambda: len(two.workers()) == 2 and victim not in two.workers(), "a successor")
    until(lambda: two.ready_workers() == 2, "it is ready")
    assert other in two.workers()
    status, out, _ = two.end()
    assert status == 0
    assert '"a worker died"' in out


def test_a_parent_that_is_killed_takes_its_workers_along(two: Service) -> None:
    pids = two.workers()

    two.process.kill()

    until(lambda: not any(_lives(pid) for pid in pids), "the workers have ended")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_sighup_replaces_all_under_load_and_no_request_fails(two: Service) -> None:
    before = two.workers()
    answered = 0
    done = asyncio.Event()

    async def load(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        while not done.is_set():
            async with session.get(f"http://127.0.0.1:{two.port}/tea") as answer:
                assert answer.status == 200
                await answer.read()
                answered += 1

    connector = aiohttp.TCPConnector(force_close=True)  # a connection each: each is accepted by somebody
    async with aiohttp.ClientSession(connector=connector) as session:
        loads = [asyncio.create_task(load(session)) for _ in range(4)]
        two.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(until, lambda: not before & two.workers() and len(two.workers()) == 2, "both replaced")
        done.set()
        await asyncio.gather(*loads)

    assert answered > 0


def test_sighup_again_and_again_while_they_drain(tmp_path: Path) -> None:
    service = Service(tmp_path, "--workers", "2", TEA_DRAIN_DELAY="1")
    until(lambda: service.ready_workers() == 2, "two workers")
    first = service.workers()

    for _ in range(4):
        before = service.workers()
        service.process.send_signal(signal.SIGHUP)
        until(lambda: bool(service.workers() - before), "a successor")  # noqa: B023 - waited for here

    until(lambda: not first & service.workers() and len(service.workers()) == 2, "two others")
    assert service.ask("/tea")[0] == 200
    assert service.end()[0] == 0


def test_a_worker_that_dies_while_it_is_replaced_is_no_trouble(tmp_path: Path) -> None:
    service = Service(tmp_path, "--workers", "2")
    until(lambda: service.ready_workers() == 2, "two workers")
    first = service.workers()

    service.process.send_signal(signal.SIGHUP)
    until(lambda: bool(service.workers() - first), "a successor")
    for pid in first:
        os.kill(pid, signal.SIGKILL)

    until(lambda: not first & service.workers() and service.ready_workers() == 2, "two others")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: service.ready_workers() > 2, "another round")
    until(lambda: service.ready_workers() == 2, "and no more than two of them at its end")
    assert service.end()[0] == 0


def test_what_cannot_start_is_not_started_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "cold").touch()
    service = Service(tmp_path, "--workers=2", TEA_COLD=str(tmp_path / "cold"))

    status, out, err = service.end(0)

    assert status == 69
    assert set(err.splitlines()) == {"tea: the kettle is cold"}
    assert "Traceback" not in out


def test_a_successor_that_cannot_start_replaces_nobody(tmp_path: Path) -> None:
    service = Service(tmp_path, TEA_SERVER_WORKERS="2", TEA_COLD=str(tmp_path / "cold"))
    until(lambda: service.ready_workers() == 2, "two workers")
    before = service.workers()

    (tmp_path / "cold").touch()
    service.process.send_signal(signal.SIGHUP)

    assert service.process.stderr is not None
    assert service.process.stderr.readline() == "tea: the kettle is cold\n"
    until(lambda: service.workers() == before, "the two of before")
    assert service.ask("/tea")[0] == 200
    assert service.end()[0] == 0


@pytest.mark.parametrize(
    "arguments", [["--workers"], ["--workers", "0"], ["--workers", "two"], ["--workers=2", "more"]]
)
def test_a_wrong_number_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    service = Service(tmp_path, *arguments)

    _, err = service.process.communicate(timeout=30)

    assert service.process.returncode == 64
    assert err == "tea: --workers takes a number from 1 to 64, and nothing comes after it\n"
