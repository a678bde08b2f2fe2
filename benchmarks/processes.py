"""Processes of a benchmark: pinned, waited for until they answer, and gone when the block ends, however it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import peers
from benchmarks.machine import ROOT, on_program_cpu, tool
from cortex_core.testing.ports import free_port

_PATIENCE: Final = 20.0  # seconds for it to listen
_GRACE: Final = 5.0  # seconds between SIGTERM and SIGKILL


@contextmanager
def program(
    command: list[str], port: int, env: Mapping[str, str] | None = None, *, beside: bool = False
) -> "Iterator[subprocess.Popen[bytes]]":
    """`command` on the program's CPU, once it listens on `port`; `env` is what it is told beside ours. `beside`: on
    the load's CPU, as what stands behind the program does. Raises SystemExit with its last words."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _dies_with_us(command if beside else on_program_cpu(command)),
            cwd=ROOT,
            env={**environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not _listens(process, port):
                log.seek(0)
                raise SystemExit(f"bench: {' '.join(command)} did not start:\n{log.read()[-2000:].decode()}")
            yield process
        finally:
            end(process)


@contextmanager
def asgi(factory: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """An application under uvicorn with httptools and uvloop: its address and its process id."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--http", "httptools", "--loop", "uvloop", "--no-access-log"]
    command = [str(peers.PYTHON), "-m", "uvicorn", "--factory", factory, *options, "--log-level", "warning"]
    with program(command, port, env) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@contextmanager
def node(script: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """A Node program that takes its port as its first argument: its address and its process id."""
    port = free_port()
    with program([tool("node", "nodejs"), str(script), str(port), *arguments], port, env) as process:
        yield f"http://127.0.0.1:{port}", process.pid


def ran(module: str, *arguments: str, timeout: float) -> str:
    """What a Python program prints that runs to its end on the program's CPU. Raises SystemExit with its last words."""
    command = on_program_cpu([str(peers.PYTHON), "-m", module, *arguments])
    process = subprocess.Popen(
        _dies_with_us(command),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        end(process)
    if process.returncode != 0:
        raise SystemExit(f"bench: {module} {' '.join(arguments)} failed:\n{err[-2000:].decode()}")
    return out.decode()


def fetched(url: str, *options: str) -> bytes:
    """What curl prints: the body, undecoded. Raises CalledProcessError for a status of 400 or more; curl says which."""
    command = [tool("curl", "curl"), "-sS", "--fail", "--max-time", "300", *options, url]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def environment() -> Mapping[str, str]:
    """Without what would make one Python differ from another."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def end(process: "subprocess.Popen[bytes]") -> None:
    """Its whole group: by SIGTERM, and by SIGKILL where that does not help."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _dies_with_us(command: list[str]) -> list[str]:
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL", "--", *command] if found else command


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    end_of_patience = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end_of_patience:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.02)
    return False


def say(line: str) -> None:
    """Progress: on a terminal the line replaces the one before."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{line}")
    else:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
