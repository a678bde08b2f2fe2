"""A signal at each step of a start ends the process in order: exit 0, a line in the log, nothing on standard error."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_core.testing import free_port

# At the step that STEP names, the process sends the signal to itself; a worker has its parent send it, and waits.
PROGRAM = """
import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ClassVar

STEP, NUMBER, ONCE = os.environ["STEP"], int(os.environ["NUMBER"]), Path(os.environ["ONCE"])
PARENT = os.getpid()


def at(step):
    if step != STEP:
        return
    try:
        ONCE.touch(exist_ok=False)
    except FileExistsError:
        return
    if os.getpid() == PARENT:
        return signal.raise_signal(NUMBER)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [NUMBER])
    os.kill(PARENT, NUMBER)
    while NUMBER not in signal.sigpending():
        time.sleep(0.001)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)  # and here it comes


at("before anything is imported")

import uvicorn

from cortex_core.chassis import Config, create_app, entry, serve, service_config
from cortex_core.chassis.workers import Workers
from cortex_core.events import MemoryEventBus


def before(owner, name, step):
    replaced = getattr(owner, name)

    def told(*args, **named):
        at(step)
        return replaced(*args, **named)

    setattr(owner, name, told)


def after(owner, name, step, true=lambda: True):
    replaced = getattr(owner, name)

    def told(*args, **named):
        result = replaced(*args, **named)
        if true():
            at(step)
        return result

    setattr(owner, name, told)


before(entry, "bind", "before it listens")
before(tempfile, "TemporaryDirectory", "before the workers' folder is made")
before(Workers, "run", "before the parent's handlers")
before(os, "fork", "before the first worker")
after(os, "fork", "in the parent, after a fork", lambda: os.getpid() == PARENT)
after(os, "fork", "in the worker, after the fork", lambda: os.getpid() != PARENT)
after(signal, "set_wakeup_fd", "in the worker, while handlers change", lambda: os.getpid() != PARENT)
before(entry.CortexHttpServer, "run", "before our handlers")
before(asyncio.Runner, "__init__", "after our handlers")
captures, begins = uvicorn.Server.capture_signals, uvicorn.Server.startup


@contextmanager
def capture_signals(self):
    at("before uvicorn's handlers")
    with captures(self):
        at("after uvicorn's handlers")
        yield


async def startup(self, sockets=None):
    await begins(self, sockets)
    at("before it is ready")


uvicorn.Server.capture_signals, uvicorn.Server.startup = capture_signals, startup


class Settings(Config):
    model_config = service_config("TEA_")
    service: ClassVar[str] = "tea"


@asynccontextmanager
async def running(platform):
    at("while it opens")
    if STEP == "while it closes":
        signal.raise_signal(NUMBER)
    yield None
    at("while it closes")


def build(settings):
    at("while it builds")
    return create_app(settings, running=running, routers=[], bus=MemoryEventBus())


if __name__ == "__main__":
    serve(build, Settings)
"""

BEFORE_OURS = ("before it listens", "while it builds", "before our handlers")
SERVING = ("before uvicorn's handlers", "after uvicorn's handlers", "while it opens", "before it is ready")
OF_THE_PARENT = (
    "before it listens",
    "before the workers' folder is made",
    "before the parent's handlers",
    "before the first worker",
    "in the parent, after a fork",
)
OF_A_WORKER = (
    "in the worker, after the fork",
    "in the worker, while handlers change",
    "while it builds",
    "before our handlers",
    "after our handlers",
    *SERVING,
)
LAST_WORDS = {"told to end before it served", "draining"}
BOTH = (int(signal.SIGTERM), int(signal.SIGINT))


def ended(folder: Path, step: str, number: int, *words: str) -> tuple[int, list[str], str]:
    """Exit status, how the log says that it ends, standard error. Fails where the process serves on."""
    program = folder / "tea.py"
    program.write_text(PROGRAM)
    (folder / "tmp").mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ours = {
        "CORTEX_ENV": "test",
        "TEA_PORT": str(free_port()),
        "TEA_SHUTDOWN_GRACE": "60",
        "TMPDIR": str(folder / "tmp"),
    }
    hook = {"STEP": step, "NUMBER": str(number), "ONCE": str(folder / "sent")}
    process = subprocess.Popen(
        [sys.executable, str(program), *words],
        env={**kept, **ours, **hook},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"signal {number} {step}: lost, it serves on") from None
    finally:
        process.kill()
    assert (folder / "sent").exists(), f"it never came to {step!r}"
    assert list((folder / "tmp").iterdir()) == []
    events = [json.loads(line)["event"] for line in out.splitlines()]
    return process.returncode, [event for event in events if event in LAST_WORDS], err


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("step", [*BEFORE_OURS, "after our handlers"])
def test_before_there_is_a_loop_nothing_is_opened_any_more(tmp_path: Path, step: str, number: int) -> None:
    assert ended(tmp_path, step, number) == (0, ["told to end before it served"], "")


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("step", [*SERVING, "while it closes"])
def test_from_then_on_it_drains(tmp_path: Path, step: str, number: int) -> None:
    assert ended(tmp_path, step, number) == (0, ["draining"], "")


def test_before_the_first_line_of_ours_the_signal_itself_ends_it(tmp_path: Path) -> None:
    assert ended(tmp_path, "before anything is imported", signal.SIGTERM) == (-signal.SIGTERM, [], "")


@pytest.mark.parametrize("step", OF_THE_PARENT)
def test_the_parent_of_workers_ends_with_all_of_them(tmp_path: Path, step: str) -> None:
    status, said, err = ended(tmp_path, step, signal.SIGTERM, "--workers", "2")

    assert (status, err) == (0, "")
    assert said


@pytest.mark.parametrize(("step", "number"), [*((step, 15) for step in OF_A_WORKER), ("after our handlers", 2)])
def test_a_worker_hears_its_parent_at_each_step(tmp_path: Path, step: str, number: int) -> None:
    status, said, err = ended(tmp_path, step, number, "--workers", "2")

    assert (status, err) == (0, "")
    assert len(said) == 2
