"""What `make images` says of what it measured."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.images import build
from scripts.images.build import LIMIT, Measured, main, services, table


def measured(service: str, unpacked: int, *layers: str, cold: float | None = None) -> Measured:
    return Measured(service, unpacked, unpacked - 1_000_000, 30_000_000, layers, cold, warm=0.52)


def test_the_table_counts_what_all_share() -> None:
    rows = [measured("gateway", 68_512_345, "a", "b", "c"), measured("order", LIMIT + 1, "a", "b", "d", "e", cold=61.4)]

    assert table(rows).splitlines()[2:] == [
        "| gateway | 68.5 MB | 67.5 MB | 30.0 MB | 3 (2) |  | 0.5 s | ok |",
        "| order | 100.0 MB | 99.0 MB | 30.0 MB | 4 (2) | 61 s | 0.5 s | above 100 MB |",
    ]


def test_an_image_above_the_limit_needs_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured("order", LIMIT).verdict == "ok"
    assert measured("order", LIMIT + 1).verdict == ""

    monkeypatch.setattr(build, "EXCUSED", {"order": "40 MB of a database"})

    assert measured("order", LIMIT + 1).verdict == "40 MB of a database"


def test_every_service_has_an_image() -> None:
    assert services() == ["gateway", "order", "notification", "analytics", "storage", "compute"]


def test_an_unknown_service_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["order", "nope"]) == 64
    assert "no service is called nope; there are gateway, order" in capsys.readouterr().err


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH; what is put there under the name `docker` is the engine."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("engine")
def test_no_engine_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["order"]) == 69
    assert capsys.readouterr().err == "images: there is no docker on the PATH\n"


def test_a_build_that_fails_is_one_line_behind_the_builders(
    engine: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine / "docker").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    (engine / "docker").chmod(0o755)

    assert main(["order"]) == 1
    assert capfd.readouterr().err == ("no space left\nimages: order could not be built; the builder says why above\n")


def test_the_tag_and_the_base_image_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        told.append(list(command))
        return subprocess.CompletedProcess(command, 0, "abc\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("CORTEX_TAG", "1.2.3")
    monkeypatch.setenv("BASE_IMAGE", "python:3.12-slim-bookworm")

    build.build("order", cold=True)

    docker = told[-1]
    assert docker[docker.index("-t") + 1] == "cortex-hub/order:1.2.3"
    assert {"REVISION=abc", "BASE_IMAGE=python:3.12-slim-bookworm", "VERSION=0.1.0"} <= set(docker)
    assert "--no-cache" in docker
    assert "--label" not in docker  # an empty source would be worse than none

    monkeypatch.setenv("CORTEX_SOURCE", "https://example.org/hub")
    monkeypatch.setenv("CORTEX_REVISION", "1.2.3-custom")
    build.build("order")

    assert {"org.opencontainers.image.source=https://example.org/hub", "REVISION=1.2.3-custom"} <= set(told[-1])


def test_the_revision_says_whether_the_tree_is_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    monkeypatch.delenv("CORTEX_REVISION", raising=False)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert build.revision() == "unknown"

    git("init", "-q")
    (tmp_path / "it").write_text("1")
    git("add", "it")
    git("commit", "-q", "-m", "it")
    git("tag", "-a", "v1", "-m", "v1")
    commit = git("rev-parse", "HEAD")
    assert build.revision() == commit

    (tmp_path / "it").write_text("2")
    assert build.revision() == f"{commit}-dirty"
