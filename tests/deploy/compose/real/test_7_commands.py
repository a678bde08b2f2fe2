"""docs/deploy/commands.md, by its own commands, and a dead letter that they find, deliver again and delete."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.compose.page import commands
from scripts.compose.project import Project, until

PAGE = Path(__file__).parents[4] / "docs/deploy/commands.md"
HUB = "docker compose exec -T order python -m cortex_order.main events dead-letters"
ADD = "export REDISCLI_AUTH=$(cat /run/secrets/password); redis-cli xadd cortex:public:events:order '*' event nonsense"


@pytest.fixture(scope="module", autouse=True)
def _running(hub: Project) -> None:
    hub.up()  # whatever was ended before


def test_the_commands_of_the_page_are_answered(hub: Project, tmp_path: Path) -> None:
    said = hub.shell(commands(PAGE, "With Compose"), tmp_path).stdout

    groups = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert "analytics" in {group["group"] for group in groups}
    assert "order: orders generation" in said
    assert "PONG" in said
    assert "order: ready" in said


def test_a_dead_letter_is_found_delivered_again_and_deleted(hub: Project, tmp_path: Path) -> None:
    def letters() -> list[dict[str, Any]]:
        listed = hub.shell(f"{HUB} list analytics", tmp_path).stdout
        return [json.loads(line) for line in listed.splitlines()]

    hub.compose("exec", "-T", "redis", "sh", "-c", ADD)
    until(lambda: bool(letters()), "analytics could not take it", 60)
    [first] = letters()
    assert first["raw"] == "nonsense"

    hub.shell(f"{HUB} replay analytics {first['entry']}", tmp_path)
    until(lambda: [each["entry"] for each in letters()] not in ([], [first["entry"]]), "it died again", 60)
    hub.shell(f"{HUB} drop analytics --all", tmp_path)
    assert letters() == []


def test_a_container_of_its_own_asks_where_none_runs(hub: Project, tmp_path: Path) -> None:
    said = hub.shell("docker compose run --rm --no-deps -T order events groups analytics", tmp_path).stdout

    assert json.loads(said)["group"] == "analytics"
