"""A service that cannot start says why in one line, as a real process: which variable, and what is wrong with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_core.testing import free_port

SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")
EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78
CANARY = "canary-of-a-secret"


def ended(service: str, *words: str, **environment: str) -> tuple[int, list[str]]:
    """Its exit status, and all that it has said."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.run(
        [sys.executable, "-m", f"cortex_{service}.main", *words],
        env={**kept, "CORTEX_ENV": "development", f"{service.upper()}_PORT": str(free_port()), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert CANARY not in process.stdout + process.stderr
    return process.returncode, (process.stdout + process.stderr).splitlines()


@pytest.mark.parametrize("service", SERVICES)
def test_settings_that_are_wrong_are_a_line_each(service: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    status, lines = ended(
        service, CORTEX_REDIS_URL_FILE=str(tmp_path / "none"), CORTEX_KEY_PEPPER_FILE=str(empty), CORTEX_BUS_KEEP=CANARY
    )

    assert status == EX_CONFIG
    assert lines == [
        f"{service}: CORTEX_REDIS_URL_FILE: {tmp_path}/none cannot be read: No such file or directory",
        f"{service}: CORTEX_KEY_PEPPER_FILE: {empty} is empty: write the value into it",
    ]


def test_a_database_url_that_is_none_is_not_repeated() -> None:
    status, lines = ended("order", ORDER_DATABASE_URL=f"mysql://root:{CANARY}@db/orders")

    assert status == EX_CONFIG
    known = "postgresql+asyncpg://user:password@host/database or sqlite+aiosqlite:///path"
    assert lines == [f"order: ORDER_DATABASE_URL: a database is {known}"]


def test_a_folder_that_cannot_be_written_is_named_by_its_variable(tmp_path: Path) -> None:
    status, lines = ended(
        "storage", STORAGE_DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/storage.db", STORAGE_BLOCKS_DIR="/proc/none"
    )

    assert status == EX_UNAVAILABLE
    *news, line = lines
    assert line.startswith("storage: STORAGE_BLOCKS_DIR: ")
    assert "/proc/none" in line
    assert not any("Traceback" in each or '"error"' in each for each in news)


def test_without_a_temporary_folder_several_workers_do_not_start(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none")
    program = f"import tempfile; tempfile._candidate_tempdir_list = lambda: [{nowhere!r}]; "
    program += "import sys; sys.argv = ['main', '--workers', '2']; from cortex_notification.main import main; main()"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "CORTEX_ENV": "development", "NOTIFICATION_PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (process.returncode, process.stderr) == (
        EX_UNAVAILABLE,
        "notification: workers need a temporary folder for their figures: mount one at /tmp\n",
    )


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_looks_into_the_bus_by_hand(service: str, redis_url: str) -> None:
    """The container of any will do: the one whose events they are may not start."""
    status, lines = ended(service, "events", "dead-letters", "list", "nobody", CORTEX_REDIS_URL=redis_url)

    assert status == EX_USAGE
    assert lines == [f"{service}: no group is called nobody; `events groups` names those there are"]
