"""One process of the hub: started so that it cannot outlive the supervisor, its output in a log that stays bounded."""

import asyncio
import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from cortex_cli.plan import Program
from cortex_cli.state import Identity, Member

LOG_LIMIT: Final = 16 << 20  # bytes a log may have before it becomes `….log.1`
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Child:
    """A program and, between `start` and its end, its process. `member` is its line in the record."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.member: Member = program.member()
        self.started = 0.0  # monotonic, of the newest start
        self._process: asyncio.subprocess.Process | None = None
        self._asked = False

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, *, again: bool = False) -> None:
        """`again` counts as a restart."""
        with self.program.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.program.env,
                start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which tells the others in order
                preexec_fn=_dies_with(os.getpid()),
            )
        self._asked = False
        self.started = time.monotonic()
        self.member = replace(
            self.member,
            identity=_identity_of(self._process.pid),
            restarts=self.member.restarts + again,
            ready_after=None,
        )

    def is_ready(self) -> None:
        self.member = replace(self.member, ready_after=round(time.monotonic() - self.started, 3))

    async def ended(self) -> int:
        """Waits for the end. The exit status; a signal's number, negative."""
        assert self._process is not None  # noqa: S101 - asked for before `start`: a bug in the supervisor
        return await self._process.wait()

    def terminate(self) -> None:
        """Asks it to drain, once."""
        if self._process is not None and self.alive and not self._asked:
            self._asked = True
            self._process.terminate()

    def kill(self) -> None:
        """At once, and what it may have started too."""
        if self._process is not None and self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _identity_of(pid: int) -> Identity | None:
    """None where it has ended, and was waited for, before anybody could look: its end is told of as any other."""
    try:
        return Identity.of(pid)
    except psutil.NoSuchProcess:
        return None


def describe_end(status: int) -> str:
    """`exit status 3`, `SIGKILL`: how a process ended, in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def turn_over(log: Path) -> None:
    """At a hub's start: the last run's log becomes `….log.1`, so that a log tells of one run."""
    if log.exists():
        log.replace(_older(log))


def keep_bounded(log: Path, limit: int = LOG_LIMIT) -> None:
    """While its writer writes: what is past the limit is copied away and the file emptied.

    The writer keeps its descriptor (it appends), so a line written between the copy and the cut is lost: the price of
    not reading every line of every service in the supervisor.
    """
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, _older(log))
        os.truncate(log, 0)


def _older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _dies_with(parent: int) -> Callable[[], None] | None:
    """On Linux, run in the child before its program: the kernel kills it when the supervisor ends, however that ends.

    Elsewhere nothing does: there the next `cortex up` or `down` ends what a killed supervisor left (State.end_orphans).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the supervisor ended before the line above
            os._exit(0)

    return before_exec
