"""The other verbs, from outside: status, logs, down, reset, --detach, and what is wrong with a request."""

import json
import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cortex_cli.child import keep_bounded

if TYPE_CHECKING:
    from cli.tests.conftest import Hub


def test_a_detached_hub_is_ready_when_the_command_returns(hub: "Hub") -> None:
    result = hub.cortex("up", "--detach", f"--port-base={hub.port_base}")

    assert (result.returncode, result.stderr) == (0, "")
    assert "Ready in" in result.stdout
    assert hub.cortex("status").returncode == 0
    assert {row["name"]: row["ready"] for row in hub.status()["services"]} == {
        "gateway": True,
        "order": True,
        "analytics": True,
    }


def test_down_ends_a_hub_from_another_shell_and_says_so_when_there_is_none(hub: "Hub") -> None:
    process = hub.up_and_ready()
    pids = hub.pids()

    ended, again = hub.cortex("down"), hub.cortex("down")

    assert ended.returncode == again.returncode == 0
    assert f"(pid {process.pid}) has ended" in ended.stdout
    assert f"No hub runs on {hub.state}" in again.stdout
    assert process.wait(timeout=30) == 0
    assert not any(hub.runs(pid) for pid in pids.values())


def test_status_tells_memory_pids_and_who_is_not_ready(hub: "Hub") -> None:
    hub.up_and_ready()
    pids = hub.pids()
    os.kill(pids["analytics"], 19)  # SIGSTOP: alive, and silent

    result = hub.cortex("status")
    told = hub.status()

    os.kill(pids["analytics"], 18)
    assert result.returncode == 1
    assert "analytics: no answer within 1 s" in result.stdout
    rows = {row["name"]: row for row in [*told["services"], *told["foundation"]]}
    assert {name: row["pid"] for name, row in rows.items()} == pids
    assert all(row["memoryBytes"] > 1 << 20 for row in rows.values())
    assert {name for name, row in rows.items() if not row["ready"]} == {"analytics"}


def test_status_without_a_hub_is_three(hub: "Hub") -> None:
    result = hub.cortex("status")

    assert result.returncode == 3
    assert "Start one with `cortex up`" in result.stdout
    assert hub.status() == {
        "state": str(hub.state),
        "running": False,
        "phase": None,
        "pid": None,
        "services": [],
        "foundation": [],
    }
    assert not hub.state.exists()


def test_status_imports_neither_a_client_nor_a_renderer(hub: "Hub") -> None:
    code = (
        "import sys; from cortex_cli.main import app\n"
        "try: app(['status'])\n"
        "except SystemExit: print([m for m in ('aiohttp', 'rich', 'fastapi') if m in sys.modules])"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], cwd=hub.folder, env=hub.env, capture_output=True, text=True, check=False
    )

    assert result.stdout.splitlines()[-1] == "[]"


def test_the_state_is_for_its_owner_alone(hub: "Hub") -> None:
    hub.up_and_ready()

    assert stat.S_IMODE(hub.state.stat().st_mode) == 0o700


def test_logs_are_told_with_the_service_in_front_or_as_they_are(hub: "Hub") -> None:
    hub.up_and_ready()

    pretty, raw = hub.cortex("logs", "order"), hub.cortex("logs", "order", "--json")

    assert pretty.stdout == "order 12:00:00.123 info    started name=order\n"
    assert json.loads(raw.stdout)["event"] == "started"
    assert hub.cortex("logs", "--json").returncode == 0
    assert all(json.loads(line) for line in hub.cortex("logs", "--json").stdout.splitlines())


def test_an_unknown_log_and_none_at_all_are_one_line(hub: "Hub") -> None:
    nothing = hub.cortex("logs")
    hub.up_and_ready()
    unknown = hub.cortex("logs", "billing")

    assert (nothing.returncode, unknown.returncode) == (1, 2)
    assert "cortex up" in nothing.stderr
    assert unknown.stderr == "cortex: no log of 'billing' here; there are analytics, bank, gateway, order, redis\n"


def test_following_survives_an_emptied_log_and_a_new_hub_and_ends_with_ctrl_c(hub: "Hub") -> None:
    first = hub.up_and_ready()
    heard = hub.folder / "heard"
    with heard.open("w") as out:
        follower = subprocess.Popen(
            [sys.executable, "-u", "-m", "cortex_cli.main", "logs", "order", "-f", "-n", "1"],
            cwd=hub.folder,
            env=hub.env,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    hub.started.append(follower)
    log = hub.state / "logs" / "order.log"

    def says(text: str) -> None:
        with log.open("a") as file:
            file.write(text + "\n")
        hub.eventually(lambda: text in heard.read_text())

    hub.eventually(lambda: heard.read_text().count("started") == 1)  # the last line there was: now it follows
    says("one")
    keep_bounded(log, limit=10)
    says("two")
    hub.finish(first)
    hub.up_and_ready()
    hub.eventually(lambda: heard.read_text().count("started") == 2)
    status, _, errors = hub.finish(follower)

    assert (status, errors) == (0, "")


def test_a_large_log_is_cut_and_the_rest_kept_beside_it(hub: "Hub") -> None:
    hub.up_and_ready()
    log = hub.state / "logs" / "gateway.log"

    hub.get(0, "/fill")

    hub.eventually(lambda: log.stat().st_size < 1 << 20)
    assert log.with_name("gateway.log.1").stat().st_size > 16 << 20


def test_each_run_has_its_own_log(hub: "Hub") -> None:
    hub.finish(hub.up_and_ready())
    hub.up_and_ready()
    log = hub.state / "logs" / "order.log"

    assert log.read_text().count("started") == 1
    assert log.with_name("order.log.1").read_text().count("started") == 1


def test_reset_asks_and_without_anybody_to_ask_deletes_nothing(hub: "Hub") -> None:
    hub.finish(hub.up_and_ready())

    asked, agreed = hub.cortex("reset"), hub.cortex("reset", "--yes")

    assert asked.returncode == 1
    assert "pass --yes" in asked.stderr
    assert agreed.returncode == 0
    assert not hub.state.exists()


def test_reset_refuses_while_a_hub_runs(hub: "Hub") -> None:
    hub.up_and_ready()

    result = hub.cortex("reset", "--yes")

    assert result.returncode == 1
    assert "end it first with `cortex down`" in result.stderr
    assert (hub.state / "redis").is_dir()


def test_a_folder_that_is_not_ours_is_neither_used_nor_deleted(hub: "Hub") -> None:
    precious = hub.folder / "thesis"
    precious.mkdir()
    (precious / "chapter-1.tex").write_text("years of work")

    used = hub.cortex("up", f"--state={precious}", f"--port-base={hub.port_base}")
    deleted = hub.cortex("reset", "--yes", f"--state={precious}")

    assert used.returncode == deleted.returncode == 1
    assert "'chapter-1.tex', which is not ours" in used.stderr
    assert "nothing deleted" in deleted.stderr
    assert [path.name for path in precious.iterdir()] == ["chapter-1.tex"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["up", "--only", "gateway,billing"], 2, "gateway, order, analytics; not billing"),
        (["up", "--port-base", "65533"], 1, "must be between 1 and 65535"),
        (["up", "--port-base", "many"], 2, "--port-base"),
        (["up", "--state", "/dev/null"], 1, "/dev/null is not a folder"),
        (["up", "--state", "/proc/nowhere"], 1, "/proc/nowhere"),
        (["fly"], 2, "No such command 'fly'"),
        (["logs", "-n", "-3"], 2, "-n"),
    ],
)
def test_a_wrong_request_is_answered_without_a_traceback(
    hub: "Hub", arguments: list[str], status: int, says: str
) -> None:
    result = hub.cortex(*arguments)

    assert result.returncode == status
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_topology_that_cannot_be_read_is_one_line(hub: "Hub") -> None:
    broken = hub.folder / "topology.toml"
    broken.write_text("[services.gateway]\nport = 3000\n")

    missing = hub.cortex("up", CORTEX_TOPOLOGY="/nowhere.toml")
    incomplete = hub.cortex("up", CORTEX_TOPOLOGY=str(broken))

    assert missing.stderr == "cortex: cannot read the topology /nowhere.toml: No such file or directory\n"
    assert incomplete.stderr == f"cortex: {broken} is not a topology: KeyError: 'module'\n"


def test_no_redis_at_all_is_one_line(hub: "Hub") -> None:
    bare = hub.folder / "bin"
    bare.mkdir()
    (bare / "python").symlink_to(sys.executable)
    code = f"import sys; sys.executable = {str(bare / 'python')!r}; from cortex_cli.main import app; app(sys.argv[1:])"

    result = subprocess.run(
        [sys.executable, "-c", code, "up", f"--port-base={hub.port_base}"],
        cwd=hub.folder,
        env=hub.env | {"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert re.fullmatch(r"cortex: no redis-server: install one .* or set CORTEX_REDIS_URL\n", result.stderr)


def test_the_version_is_told(hub: "Hub") -> None:
    assert re.fullmatch(r"cortex \d+\.\d+\.\d+\n", hub.cortex("--version").stdout)
