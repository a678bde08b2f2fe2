"""What the pages tell a reader to type can be typed; the end-to-end run types it."""

import re
import subprocess
from pathlib import Path

import pytest

from scripts.compose.page import commands

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs/deploy"
COMMANDS = [
    ("backup-and-restore.md", "Back up"),
    ("backup-and-restore.md", "Restore"),
    ("backup-and-restore.md", "Back up on Kubernetes"),
    ("backup-and-restore.md", "Restore on Kubernetes"),
    ("backup-and-restore.md", "External stores"),
    ("commands.md", "With Compose"),
    ("commands.md", "On Kubernetes"),
    ("compose.md", "In production"),
    ("compose.md", "Replicas"),
    ("compose.md", "When Redis' log is damaged"),
    ("compose.md", "The hub under Docker Compose"),
]


@pytest.mark.parametrize(("page", "heading"), COMMANDS)
def test_the_commands_are_a_shells(page: str, heading: str) -> None:
    script = commands(PAGES / page, heading)

    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_what_a_runbook_tells_to_type_is_on_the_page_of_commands() -> None:
    """No deployment has the command line `cortex`, so no alert may ask for it."""
    runbooks = " ".join((PAGES / "alerts.md").read_text().split())
    told = re.findall(r"`(hub [a-z-]+ [a-z-]+(?: (?:replay|drop|list))?)", runbooks)
    known = (PAGES / "commands.md").read_text()

    assert len(told) >= 4
    assert [words for words in told if f"`{words}" not in known and words not in known] == []
    assert "`cortex " not in runbooks


def test_only_the_blocks_under_the_heading_are_taken(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# All\n```sh\none\n```\n## First\n```sh\ntwo\n```\n```\nno command\n```\n### Deeper\n```sh\nthree\n```\n"
        "## Second\n```sh\nfour\n```\n"
    )

    assert commands(page, "First") == "two\nthree"
    assert commands(page, "Second") == "four"
    with pytest.raises(ValueError, match="no heading 'Third'"):
        commands(page, "Third")


def test_a_heading_without_commands_is_a_mistake(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("## Words\nalone\n")

    with pytest.raises(ValueError, match="no commands"):
        commands(page, "Words")


@pytest.mark.parametrize("page", ["compose.md", "backup-and-restore.md"])
def test_a_page_names_no_variable_of_compose_that_there_is_not(page: str) -> None:
    known = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    told = set(
        re.findall(
            r"\b((?:CORTEX|GATEWAY|GRAFANA|PROMETHEUS|JAEGER|ORDER|ANALYTICS|OTEL)_[A-Z_]+)\b",
            (PAGES / page).read_text(),
        )
    )

    assert {name for name in told - known if not name.startswith("CORTEX_TEST_")} <= {
        "CORTEX_TOKEN"
    }  # the command's own


def test_every_volume_with_data_is_in_the_table_of_what_is_backed_up() -> None:
    import yaml

    volumes = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"])
    page = (PAGES / "backup-and-restore.md").read_text()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))

    assert told == {name for name in volumes if not name.startswith("secrets-")} - {
        "postgres-socket",
        "kubo",
        "prometheus",
        "grafana",
        "loki",
        "log-collector",
    }
