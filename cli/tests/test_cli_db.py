"""`cortex db upgrade`: what the services name when a database is not current. Real services, real SQLite."""

import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from cortex_core.testing import PostgresServer, free_port

SERVICES = ("order", "storage", "analytics")


@pytest.fixture
def production(tmp_path: Path) -> dict[str, str]:
    databases = {f"{name.upper()}_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in SERVICES}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CORTEX_REDIS_URL": "redis://127.0.0.1:1/0",
        "CORTEX_KEY_PEPPER": "0123456789abcdef0123456789abcdef",
        "ORDER_PAYMENT_URL": "http://127.0.0.1:1",
        "STORAGE_BLOCKS_DIR": str(tmp_path / "blocks"),
        **databases,
    }


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], env=env, capture_output=True, text=True, timeout=180, check=False
    )


def waits(env: dict[str, str], module: str) -> str:
    """The line by which a service says what it waits for."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            return next(line for line in process.stdout if '"not ready"' in line)
        finally:
            process.terminate()
            process.communicate(timeout=180)


def test_a_service_names_a_command_that_there_is(production: dict[str, str], tmp_path: Path) -> None:
    said = waits({**production, "ORDER_PORT": str(free_port()), "ORDER_DRAIN_DELAY": "0"}, "cortex_order.main")
    upgraded = run(production, "cortex_cli.main", "db", "upgrade")
    again = run(production, "cortex_cli.main", "db", "upgrade", "--only=order")

    assert "ORDER_DATABASE_URL: the database lacks core_" in said
    assert "run `cortex db upgrade`" in said
    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert {line.partition(":")[0] for line in upgraded.stdout.splitlines()} == set(SERVICES)
    assert again.stdout == "order: is current\n"
    with sqlite3.connect(tmp_path / "order.db") as database:
        assert database.execute("SELECT count(*) FROM orders").fetchone() == (0,)


@pytest.mark.timeout(300)  # eight starts of Python and three databases, beside whatever else the machine does
def test_databases_may_be_postgresqls(production: dict[str, str], postgres_server: PostgresServer) -> None:
    with ExitStack() as stack:
        urls = {name: stack.enter_context(postgres_server.database()) for name in SERVICES}
        production |= {f"{name.upper()}_DATABASE_URL": url for name, url in urls.items()}

        upgraded = run(production, "cortex_cli.main", "db", "upgrade")
        again = run(production, "cortex_cli.main", "db", "upgrade")

        assert (upgraded.returncode, upgraded.stderr) == (0, "")
        assert {line.partition(":")[0] for line in upgraded.stdout.splitlines()} == set(SERVICES)
        assert sorted(again.stdout.splitlines()) == sorted(f"{name}: is current" for name in SERVICES)
        for name, table in (("order", "orders"), ("storage", "files"), ("analytics", "totals")):
            assert postgres_server.execute(f"SELECT count(*) FROM {table}", urls[name].rpartition("/")[2]) == [("0",)]


def test_a_database_out_of_reach_is_one_line(production: dict[str, str]) -> None:
    production["ORDER_DATABASE_URL"] = "sqlite+aiosqlite:////proc/none/order.db"

    failed = run(production, "cortex_cli.main", "db", "upgrade", "--only=order")

    assert failed.returncode == 69
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stderr.startswith("order: ")


def test_an_unknown_word_is_one_line(production: dict[str, str]) -> None:
    failed = run(production, "cortex_order.main", "serve")

    assert (failed.returncode, len(failed.stderr.splitlines())) == (64, 1)


def test_a_service_s_projections_are_asked_by_its_name(production: dict[str, str]) -> None:
    run(production, "cortex_cli.main", "db", "upgrade", "--only=order")

    status = run(production, "cortex_cli.main", "projections", "status", "order")
    rebuilt = run(production, "cortex_cli.main", "projections", "rebuild", "order", "orders")
    nothing = run(production, "cortex_cli.main", "projections", "abandon", "order", "orders")
    unknown = run(production, "cortex_cli.main", "projections", "rebuild", "order", "cats")
    without = run(production, "cortex_cli.main", "projections", "status", "storage")

    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout == "order: orders generation 1: live, position 0 of 0, logic 1, 0 parked\n"
    assert rebuilt.stdout.startswith("order: orders is shown from generation 2 after ")
    assert nothing.stdout == "order: nothing of orders is being built\n"
    assert (unknown.returncode, unknown.stderr) == (64, "order: there is no projection 'cats'; there is orders\n")
    assert (without.returncode, len(without.stderr.splitlines())) == (64, 1)


def test_without_an_environment_the_hub_s_own_projections_are_meant(tmp_path: Path) -> None:
    """As `cortex up` left them: its state folder names the databases."""
    state = tmp_path / ".cortex"
    (state / "data").mkdir(parents=True)
    (state / "cortex-state").touch()
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    url = f"sqlite+aiosqlite:///{state}/data/order.db"
    run({**bare, "CORTEX_ENV": "development", "ORDER_DATABASE_URL": url}, "cortex_order.main", "db", "upgrade")

    status = run(bare, "cortex_cli.main", "projections", "status", "order", "--state", str(state))
    nowhere = run(bare, "cortex_cli.main", "projections", "status", "order", "--state", str(tmp_path / "none"))

    assert (status.returncode, status.stderr) == (0, "")
    assert status.stdout == "order: orders generation 1: live, position 0 of 0, logic 1, 0 parked\n"
    assert nowhere.returncode == 1
    assert "pass --state, or set CORTEX_ENV" in nowhere.stderr
    assert nowhere.stderr.count("\n") == 1
