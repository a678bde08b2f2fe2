"""A real PostgreSQL for tests, that can be stopped, killed, paused and started: fakes of it do not fail as it fails.

Owns the processes, their folder and their port. The address carries a password that the server checks (SCRAM), so that
tests see what secrets do. What happens to be root runs it as somebody else. Needs no client library: databases are made
and dropped through a unix socket inside the folder.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

from cortex_core.testing.loopback_server import LoopbackServer
from cortex_core.testing.postgres_binaries import (
    Account,
    PostgresServerError,
    find_postgres,
    place_for_data,
    reachable,
)
from cortex_core.testing.postgres_wire import Row, simple_query

_PATIENCE: Final = 30.0  # seconds for it to start or to end
_USER: Final = "cortex"
_HBA: Final = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class PostgresServer(LoopbackServer):
    """One PostgreSQL on a free loopback port. `url` stays the same over `stop` and `start`."""

    error = PostgresServerError
    patience = _PATIENCE

    def __init__(self, programs: Path, folder: Path, account: Account, settings: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._programs = programs
        self._account = account
        self._settings = settings
        self._password = secrets.token_urlsafe(16)
        self._databases = 0

    @classmethod
    @contextmanager
    def running(cls, *, fsync: bool = True, settings: Mapping[str, str] | None = None) -> Iterator[Self]:
        """Started, and when the block ends, gone with all its files. Raises PostgresServerError.

        `fsync` False: commits do not wait for the disk. Kills of processes lose nothing then either; a power cut would.
        `settings` are further ones of postgresql.conf.
        """
        programs = find_postgres()
        account = Account.unprivileged()
        name = tempfile.mkdtemp(prefix="cortex-postgres-", dir=place_for_data(account))
        folder = Path(name)
        try:
            account.own(folder)
            chosen = {"fsync": "on" if fsync else "off", **(settings or {})}
            server = cls(reachable(programs, account, folder), folder, account, chosen)
            server._make_cluster()
            try:
                server.start()
                yield server
            finally:
                server._end()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Of the server's own database, with the password of its superuser."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+asyncpg://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def stop(self, *, kill: bool = False) -> None:
        """Ends it, in order or as a crash (SIGKILL to every process of it), and returns when it is gone. Its data
        stays. Clients are not waited for."""
        if self._process is None:
            return
        if kill:
            self._kill()
        else:
            self._end_by(signal.SIGINT)
        self._process = None

    def pause(self) -> None:
        """SIGSTOP to every process of it: it accepts connections and answers nothing, until `resume`."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def execute(self, sql: str, database: str = "postgres") -> list[Row]:
        """Runs statements as superuser; the rows as text. Raises RuntimeError: SQLSTATE and message."""
        return simple_query(self._folder / f".s.PGSQL.{self._port}", _USER, database, sql)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh, empty database, dropped when the block ends, whoever is still connected."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.start()
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield self.url_of(name)
        finally:
            self.start()
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _make_cluster(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._password, encoding="utf-8")
        self._account.own(password_file)
        command = [
            str(self._programs / "initdb"),
            f"--pgdata={self._folder / 'data'}",
            f"--username={_USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        made = self._account.run(command, cwd=self._folder, env=_environment())
        if made.returncode != 0:
            raise PostgresServerError(f"{command[0]} made no cluster:\n{made.stdout[-400:]}{made.stderr[-400:]}")
        password_file.unlink()
        (self._folder / "data" / "pg_hba.conf").write_text(_HBA, encoding="utf-8")

    def _spawn(self, command: list[str], log: BinaryIO) -> "subprocess.Popen[bytes]":
        options = {
            "cwd": self._folder,
            "env": _environment(),
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": log,
        }
        return self._account.start(command, **options)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(self._folder),
            "dynamic_shared_memory_type": "mmap",  # in its folder: a killed one leaves nothing in /dev/shm
            "shared_buffers": "32MB",
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *options]

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == [("1",)]
        except (OSError, RuntimeError):  # not listening yet, or reading its log
            return False

    def _end(self) -> None:
        """At once, its shared memory given back, which SIGKILL would leave behind."""
        self.resume()
        self._end_by(signal.SIGQUIT)
        self._process = None
        self._parent.shutdown()

    def _end_by(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        """The parent is stopped before its children are counted, so that none is born meanwhile. A server that starts
        again refuses while an old child still holds its memory: so they are waited for."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)
        pids = self._pids()
        _send(pids, signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + _PATIENCE
        while any(_parent_of(pid) is not None for pid in pids) and time.monotonic() < end:
            time.sleep(0.002)

    def _signal_all(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            _send(self._pids(), number)

    def _pids(self) -> list[int]:
        """The server's process and its children, one a connection and some of its own."""
        if self._process is None:
            return []
        own = self._process.pid
        running = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
        return [own, *(pid for pid in running if _parent_of(pid) == own)]


def _environment() -> dict[str, str]:
    """Ours without what would set up PostgreSQL by itself: PGDATA, PGPORT, LC_ALL …"""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _parent_of(pid: int) -> int | None:
    """None when it has ended, whether or not somebody has taken note."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)
