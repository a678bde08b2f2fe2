"""The state folder (`.cortex/`): data, logs, Redis' log, and the record of the hub that runs on it.

Owns the folder's shape, the lock that lets one hub in at a time, and the marker without which nothing is ever deleted.
The record is written for readers in other processes; who is meant by a pid is checked by its time of creation.
"""

import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from cortex_cli.refusal import Refusal

MARKER = "cortex-state"
_OURS = {MARKER, "data", "logs", "redis", "keys", "keys.new", "demo", "observe", "hub.json", "hub.json.new", "hub.lock"}
_NAME = ".cortex"  # a folder of this name is the hub's also where a service that was run by hand made it

Phase = Literal["starting", "ready", "stopping"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A process, and not another that got its number later."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The living process, or None where it has ended (one that nobody has waited for yet has ended, too)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if same else None

    def gone_within(self, seconds: float) -> bool:
        """Waits for its end. psutil's own waiting would wait for a zombie's parent as well, which may never look."""
        until = time.monotonic() + seconds
        while self.process() is not None:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the hub as the record tells of it."""

    name: str
    kind: Literal["redis", "helper", "service"]
    url: str
    identity: Identity | None = None
    restarts: int = 0
    ready_after: float | None = None  # seconds from its start


@dataclass(frozen=True, slots=True)
class Record:
    """The hub that runs, or ran, on a state folder."""

    supervisor: Identity
    phase: Phase
    members: tuple[Member, ...] = field(default=())

    @property
    def running(self) -> bool:
        return self.supervisor.process() is not None

    @property
    def redis(self) -> str | None:
        """The URL of the Redis this hub started, None where it uses another."""
        return next((member.url for member in self.members if member.kind == "redis"), None)

    @property
    def gateway(self) -> str | None:
        """The way in: the gateway's URL, None where this hub was started without one."""
        return next((member.url for member in self.members if member.name == "gateway"), None)


class State:
    """See the module. Nothing is made on disk before `claim`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self._lock: int | None = None

    @classmethod
    def chosen(cls, option: Path | None) -> "State":
        """`--state`, else CORTEX_STATE, else `.cortex` here."""
        return cls(option or Path(os.environ.get("CORTEX_STATE") or ".cortex"))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def redis(self) -> Path:
        return self.folder / "redis"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    @property
    def is_ours(self) -> bool:
        return (self.folder / MARKER).is_file()

    def claim(self) -> None:
        """Makes the folder (readable by its owner alone) and takes its lock until `release` or this process's end.

        Raises Refusal where a hub runs on it, or where it is somebody else's folder.
        """
        self._make()
        descriptor = os.open(self.folder / "hub.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            record = self.read()
            who = f" (pid {record.supervisor.pid})" if record else ""
            raise Refusal(
                f"a hub already runs on {self.folder}{who}: see `cortex status`, end it with `cortex down`, "
                "or pass --state DIR and --port-base N for another one"
            ) from None
        self._lock = descriptor

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> None:
        if self.folder.exists() and not self.is_ours:
            if not self.folder.is_dir():
                raise Refusal(f"{self.folder} is not a folder; pass --state DIR")
            expected = _OURS if self.folder.name == _NAME else {"hub.lock"}  # `data` is also what people call theirs
            foreign = sorted({entry.name for entry in self.folder.iterdir()} - expected)
            if foreign:
                raise Refusal(
                    f"{self.folder} holds {foreign[0]!r}, which is not ours; pass an empty or new --state DIR"
                )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        (self.folder / MARKER).write_text(
            "The state of a Cortex Hub. `cortex reset` deletes what the hub made in this folder.\n"
        )
        for part in (self.data, self.logs, self.redis):
            part.mkdir(mode=0o700, exist_ok=True)

    def read(self) -> Record | None:
        """The record, or None where there is none (or none that can be read: then nothing is known)."""
        try:
            written = json.loads((self.folder / "hub.json").read_text())
            return Record(
                supervisor=Identity(**written["supervisor"]),
                phase=written["phase"],
                members=tuple(_member(member) for member in written["members"]),
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def running(self) -> Record | None:
        """The record of a hub that is alive, else None."""
        record = self.read()
        return record if record is not None and record.running else None

    def write(self, record: Record) -> None:
        """Whole or not at all: readers never see half a record."""
        path = self.folder / "hub.json"
        draft = path.with_suffix(".json.new")
        draft.write_text(json.dumps(asdict(record), indent=1))
        draft.replace(path)

    def forget(self) -> None:
        (self.folder / "hub.json").unlink(missing_ok=True)

    def end_orphans(self) -> list[str]:
        """Ends what a supervisor that died left behind, and forgets it. Gives the names of those still there."""
        record = self.read()
        if record is None or record.running:
            return []
        left = []
        for member in record.members:
            process = member.identity.process() if member.identity else None
            if member.identity is not None and process is not None:
                process.kill()
                member.identity.gone_within(5)
                left.append(member.name)
        self.forget()
        return left

    def delete(self) -> list[str]:
        """What is ours in the folder, and the folder where nothing else is in it. The names of what else there is. The
        caller has asked."""
        for name in _OURS:
            entry = self.folder / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        left = sorted(entry.name for entry in self.folder.iterdir())
        if not left and not self.folder.is_symlink():
            self.folder.rmdir()
        return left


def _member(written: dict[str, Any]) -> Member:
    identity = written.get("identity")
    return replace(Member(**{**written, "identity": None}), identity=Identity(**identity) if identity else None)
