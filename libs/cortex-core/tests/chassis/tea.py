"""A service as several processes, for the tests of its workers: a real parent, real workers, real signals."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cortex_core.testing import free_port

PROGRAM = """
import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from fastapi import APIRouter, Request

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


@router.post("/tea")
async def pour(request: Request) -> dict[str, int]:
    return {"drops": len(await request.body())}


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

    def figure(self, name: str) -> float:
        """A sample without labels, as whoever answers tells it."""
        lines = self.ask("/metrics")[1].splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

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


def serving_with_two(folder: Path, **environment: str) -> Service:
    service = Service(folder, "--workers", "2", **environment)
    until(lambda: service.ready_workers() == 2, "two workers")
    return service


def end_all() -> None:
    """However a test went: a parent that is killed takes its workers along."""
    while Service.started:
        Service.started.pop().end(signal.SIGKILL)
