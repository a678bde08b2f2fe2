"""`cortex db upgrade`: what the services name when a database is not current. Real services, real SQLite."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = ("order", "storage", "analytics")


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    databases = {f"{name.upper()}_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in SERVICES}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CORTEX_REDIS_URL": "redis://127.0.0.1:1/0",
        "ORDER_PAYMENT_URL": "http://127.0.0.1:1",
        "STORAGE_BLOCKS_DIR": str(tmp_path / "blocks"),
        **databases,
    }


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_service_names_a_command_that_there_is(production: dict[str, str], tmp_path: Path) -> None:
    refused = run(production, "cortex_order.main")
    upgraded = run(production, "cortex_cli.main", "db", "upgrade")
    again = run(production, "cortex_cli.main", "db", "upgrade", "--only=order")

    assert refused.returncode == 69
    assert "run `cortex db upgrade`" in refused.stderr
    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert {line.partition(":")[0] for line in upgraded.stdout.splitlines()} == set(SERVICES)
    assert again.stdout == "order: is current\n"
    with sqlite3.connect(tmp_path / "order.db") as database:
        assert database.execute("SELECT count(*) FROM orders").fetchone() == (0,)


def test_a_database_out_of_reach_is_one_line(production: dict[str, str]) -> None:
    production["ORDER_DATABASE_URL"] = "sqlite+aiosqlite:////proc/none/order.db"

    failed = run(production, "cortex_cli.main", "db", "upgrade", "--only=order")

    assert failed.returncode == 69
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stderr.startswith("order: ")


def test_an_unknown_word_is_one_line(production: dict[str, str]) -> None:
    failed = run(production, "cortex_order.main", "serve")

    assert (failed.returncode, len(failed.stderr.splitlines())) == (64, 1)
