"""docs/deploy/backup-and-restore.md, by its own commands, from a hub at work into a new one."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.compose.orders import Orders, all_end, ask, counted
from scripts.compose.page import commands
from scripts.compose.project import Failed, Project, run, until

PAGES = Path(__file__).parents[4] / "docs/deploy"
PAGE, COMPOSE = PAGES / "backup-and-restore.md", PAGES / "compose.md"


def test_what_was_backed_up_is_there_in_a_new_project(
    hub: Project, another: Callable[..., Project], tmp_path: Path, note: Any
) -> None:
    backup = tmp_path / "backup"
    status, stored = ask(hub.url, "/api/storage/files", b"to be kept" * 50_000)
    assert status == 201
    status, key = ask(hub.url, "/api/keys", b'{"name":"kept","scopes":["orders:read"]}', _token(hub))
    assert status == 201, key
    with Orders(hub.url) as orders:
        orders.more(20)
        before = list(orders.acknowledged)
        began = time.monotonic()
        hub.shell(commands(PAGE, "Back up"), backup)
        saved = time.monotonic() - began
    assert {path.stat().st_mode & 0o077 for path in (backup, *backup.iterdir())} == {0}
    with pytest.raises(Failed, match="File exists"):  # never over an older one
        hub.shell(commands(PAGE, "Back up"), backup)

    restored = another("restored")
    began = time.monotonic()
    restored.shell(commands(PAGE, "Restore"), backup)
    note(
        "backup of a hub at work, restored",
        f"{saved:.0f} s, {time.monotonic() - began:.0f} s; {len(before)} orders there",
    )

    ended = all_end(restored.url, before)
    assert ended["completed"] == len(before), ended
    until(lambda: counted(restored.url)["completed"] >= len(before), "analytics has what the bus had lacked", 60)
    status, listed = ask(restored.url, "/api/storage/files")
    assert stored["cid"] in {each["cid"] for each in listed["files"]}
    known = f"/api/orders/{before[0]}"
    until(lambda: ask(restored.url, known, token=key["secret"])[0] == 200, "the API key is known", 30)
    with Orders(restored.url) as after:
        after.more(5)
    assert after.all_end()["completed"] == len(after.acknowledged)


def test_a_hub_that_is_there_is_not_restored_over(another: Callable[..., Project], tmp_path: Path) -> None:
    """Its secrets are what a restore writes first: a pepper written over is gone."""
    there = another("there")
    there.compose("run", "--rm", "--no-deps", "init")

    def pepper() -> str:
        script = "print(open('/made/keys/pepper').read())"
        return there.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "init", "-c", script).stdout

    before = pepper()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/pepper").write_text("another hub's")
    run(["tar", "-cf", str(tmp_path / "secrets.tar"), "-C", str(tmp_path), "keys"])
    (tmp_path / "complete").touch()

    with pytest.raises(Failed, match=f"{there.name} has data already"):
        there.shell(commands(PAGE, "Restore"), tmp_path)

    assert pepper() == before


DAMAGE = """
cd /data/appendonlydir
file=$(ls *.incr.aof)
set -- $(LC_ALL=C grep -abo '^[*][0-9]' $file | cut -d: -f1)
shift $(($# / 2))
printf damaged | dd of=$file bs=1 seek=$1 conv=notrunc
"""
"""The beginning of a command in the middle: what is written over a value, Redis takes for that value."""


def test_redis_log_is_cut_where_it_is_damaged_and_the_bus_is_repaired(hub: Project, tmp_path: Path, note: Any) -> None:
    with Orders(hub.url) as orders:
        orders.more(20)
        hub.compose("stop", "redis")
        hub.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "redis", "-c", DAMAGE)
        failed = hub.compose("up", "--detach", "--wait", "redis", good=False)
        assert failed.returncode != 0
        assert "Bad file format reading the append only file" in hub.compose("logs", "redis").stdout

        hub.shell(commands(COMPOSE, "When Redis' log is damaged"), tmp_path / "damaged")
        orders.more(10)

    ended = orders.all_end()
    assert ended["completed"] == len(orders.acknowledged), ended
    until(lambda: "the bus is repaired" in hub.compose("logs", "order").stdout, "lost events come again", 60)
    assert list((tmp_path / "damaged").rglob("*.incr.aof"))
    note("Redis' log damaged in the middle", f"{len(orders.acknowledged)} orders there after the cut")


def _token(hub: Project) -> str:
    import json

    (token,) = json.loads(hub.compose("run", "--rm", "--no-deps", "init", "show", "static_tokens").stdout)
    return str(token["token"])
