"""The bundled PostgreSQL's first start, killed while it makes its files: the chart's own command and script, run with
the real `initdb` and server, on as much of an image's entry point as the chart counts on."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cortex_core.testing.postgres_binaries import Account, find_postgres, place_for_data, reachable

from .trial import TRIAL, Render

SERVICES = ("analytics", "order", "storage")

# What the official image does, and every other that the chart runs on: no PG_VERSION means a first start.
ENTRY_POINT = """#!/bin/bash
set -e
[ "${1#-}" = "$1" ] || set -- postgres "$@"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  initdb --username=postgres --auth=trust --locale=C.UTF-8 --encoding=UTF8 --no-sync >/dev/null
  pg_ctl -o "-c listen_addresses= -c unix_socket_directories=$PGHOST" -w start >/dev/null
  for script in "$SCRIPTS"/*; do . "$script"; done
  pg_ctl -m fast -w stop >/dev/null
fi
exec "$@" -c listen_addresses= -c unix_socket_directories="$PGHOST"
"""


class Pod:
    """One container on one volume, as the chart describes it; `start` again is what kubelet does after its death."""

    def __init__(self, folder: Path, render: Render) -> None:
        self.folder = folder
        self.account = Account.unprivileged()
        objects = render({**TRIAL, "postgresql": {"enabled": True}})
        (name,) = [name for kind, name in objects if kind == "StatefulSet" and name.endswith("postgresql")]
        container = objects["StatefulSet", name]["spec"]["template"]["spec"]["containers"][0]
        self.words = [*container.get("command", ["docker-entrypoint.sh"]), *container["args"]]
        mount = next(each["value"] for each in container["env"] if each["name"] == "PGDATA")
        self.data = folder / Path(mount).relative_to("/var/lib/postgresql")
        self.secrets = folder / "secrets"
        for made in (folder, self.data.parent, folder / "bin", folder / "scripts", folder / "run", self.secrets):
            made.mkdir(exist_ok=True)
            self.account.own(made)
        for file, text in objects["ConfigMap", name]["data"].items():
            (folder / "scripts" / file).write_text(text.replace("/run/secrets", str(self.secrets)))
        for service in SERVICES:
            (self.secrets / service).write_text(f"secret of {service}")
        entry_point = folder / "bin/docker-entrypoint.sh"
        entry_point.write_text(ENTRY_POINT)
        entry_point.chmod(0o755)
        self.programs = reachable(find_postgres(), self.account, folder)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{self.programs}:{os.environ['PATH']}"
        return {
            "PATH": path,
            "PGDATA": str(self.data),
            "PGHOST": f"{self.folder}/run",
            "SCRIPTS": f"{self.folder}/scripts",
        }

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = self.account.start(
                self.words, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """Everything in the container, as the kernel does when its first process dies."""
        if self.process is None:
            return
        roots = [self.process.pid, *self._server()]
        while living := _with_descendants(roots):
            for pid in living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
        self.process.wait()
        for names_it in (self.data / "postmaster.pid", self.folder / "run/.s.PGSQL.5432.lock"):
            names_it.unlink(missing_ok=True)  # no process of this number lives in the next container
        self.process = None

    def _server(self) -> list[int]:
        """That of the first start: its parent, pg_ctl, ends before it."""
        try:
            return [int((self.data / "postmaster.pid").read_text().split()[0])]
        except (FileNotFoundError, IndexError):
            return []

    def ended(self) -> int:
        assert self.process is not None
        status = self.process.wait(timeout=60)
        self.process = None
        return status

    def ask(self, sql: str, database: str = "postgres") -> list[str] | None:
        """Rows, or None where nobody answers."""
        words = [str(self.programs / "psql"), "-XAtq", "-U", "postgres", "-d", database, "-c", sql]
        done = self.account.run(words, cwd=self.folder, env=self.environment)
        return done.stdout.split() if done.returncode == 0 else None

    def serves(self) -> bool:
        """For good, that is: not in its first start."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-800:]
        started = Path(f"/proc/{self.process.pid}/comm").read_text().strip() == "postgres"
        return started and self.ask("SELECT 1") == ["1"]


def _with_descendants(roots: list[int]) -> set[int]:
    """Those of them that live."""
    parents: dict[int, int] = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = each.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(each.parent.name)] = int(parent)
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.fixture
def pod(objects: Render) -> Iterator[Pod]:
    account = Account.unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="cortex-pod-", dir=place_for_data(account)))
    made = Pod(folder, objects)
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def is_whole(pod: Pod) -> None:
    pod.start()
    until(pod.serves)
    names = [f"cortex_{service}" for service in SERVICES]
    assert pod.ask("SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> 'postgres' ORDER BY 1") == names
    assert pod.ask("SELECT datname FROM pg_database WHERE datname LIKE 'cortex%' ORDER BY 1") == names


def test_killed_while_initdb_runs_it_begins_anew(pod: Pod) -> None:
    for _ in range(20):
        pod.start()
        until((pod.data / "PG_VERSION").exists)
        pod.kill()
        if not (pod.data / "base/5").exists():
            break
        shutil.rmtree(pod.data)  # it was done before it was killed: once more from the beginning
        Path(f"{pod.data}.making").unlink(missing_ok=True)
    assert not (pod.data / "base/5").exists(), "initdb was always done before it was killed"

    is_whole(pod)


def test_killed_while_it_makes_roles_it_begins_anew(pod: Pod) -> None:
    waits = pod.secrets / SERVICES[1]
    waits.unlink()
    os.mkfifo(waits)
    waits.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    pod.start()
    with waits.open("w"):  # opens when somebody reads: the first role is there by then
        pod.kill()
    waits.unlink()
    waits.write_text("secret")

    is_whole(pod)


def test_killed_at_any_time_later_it_keeps_what_it_has(pod: Pod) -> None:
    is_whole(pod)
    pod.ask("CREATE TABLE kept AS SELECT 42 AS figure", "cortex_order")
    pod.kill()

    is_whole(pod)
    assert pod.ask("SELECT figure FROM kept", "cortex_order") == ["42"]


def test_damaged_files_are_no_half_made_ones(pod: Pod) -> None:
    """Without its version a cluster is refused, as before, and whoever has to repair it finds what there is."""
    pod.data.mkdir()
    (pod.data / "orders").write_text("the only ones")
    for path in (pod.data, pod.data / "orders"):
        pod.account.own(path)

    for _ in range(2):
        pod.start()
        assert pod.ended() != 0

    assert (pod.data / "orders").read_text() == "the only ones"
