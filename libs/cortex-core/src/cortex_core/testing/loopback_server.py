"""A real server for tests, on a free loopback port: started by a thread that lasts as long as we do, and waited for
until it answers.

Owns the process, its folder and its port. Refuses to know how it is asked, or how it ends: its kind does.
"""

import subprocess
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, ClassVar

from cortex_core.testing.ports import free_port


class LoopbackServer(ABC):
    """`error` is raised where it does not start within `patience` seconds. Its port stays the same over `stop` and
    `start`, and so do its data, in `folder`."""

    error: ClassVar[type[RuntimeError]]
    patience: ClassVar[float]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._parent = ThreadPoolExecutor(1)  # what dies with the thread that starts it lasts as long as we do

    @property
    def port(self) -> int:
        return self._port

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Returns when it answers; nothing happens if it already does. Raises `error`."""
        if self._process is not None and self._process.poll() is None:
            return
        command = self._command()
        with (self._folder / "log").open("ab") as log:
            self._process = self._parent.submit(self._spawn, command, log).result()
        end = time.monotonic() + self.patience
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop(kill=True)
                last_words = (self._folder / "log").read_text(errors="replace")[-800:]
                raise self.error(f"{' '.join(command[:4])} … did not start on port {self._port}:\n{last_words}")
            time.sleep(0.005)

    @abstractmethod
    def stop(self, *, kill: bool = False) -> None:
        """Ends it, in order or as a crash, and returns when it is gone. Its data stays."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _spawn(self, command: list[str], log: BinaryIO) -> "subprocess.Popen[bytes]": ...

    @abstractmethod
    def _answers(self) -> bool: ...
