"""Peers that are no Python packages: what is installed is what the locks say."""

import json
import re
import stat
from pathlib import Path

import pytest

from benchmarks.edge import installs

PEERS = Path(__file__).parents[2] / "benchmarks/peers"


def test_no_lock_names_an_address() -> None:
    assert all("://" not in (PEERS / name).read_text() for name in ("package-lock.json", "package.json", "go.lock"))


def test_every_node_package_has_its_hash() -> None:
    packages = json.loads((PEERS / "package-lock.json").read_text())["packages"]

    assert all(each.get("integrity", "").startswith("sha512-") for name, each in packages.items() if name)


def test_the_node_lock_holds_what_is_asked_for() -> None:
    asked = json.loads((PEERS / "package.json").read_text())["dependencies"]

    assert {name: installs.version_of_node(name) for name in asked} == asked


def test_every_go_module_has_its_hash() -> None:
    locked = installs.locked_go()

    assert set(locked) == {"caddy", "vegeta"}
    assert all(len(modules) > 10 for _, _, modules in locked.values())
    assert all(
        re.fullmatch(r"(mod|dep)\t\S+\t\S+\th1:\S+=", line) for _, _, modules in locked.values() for line in modules
    )


def go_that_tells(folder: Path, modules: str) -> None:
    """A program named go: `install` makes a file, `version -m` tells of `modules` in it."""
    script = folder / "go"
    told = "".join(f"\\t{line}\\n" for line in modules.replace("\t", "\\t").splitlines())
    script.write_text(f'#!/bin/sh\ncase $1 in install) : > "$GOBIN/vegeta";; version) printf "{told}";; esac\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where `installs` puts Go programs, and the folder that is searched for programs first."""
    (tmp_path / "go-programs").mkdir()
    monkeypatch.setattr(installs, "_GO", tmp_path / "go-programs")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_a_go_program_of_the_locked_modules_is_taken(elsewhere: Path) -> None:
    _, _, modules = installs.locked_go()["vegeta"]
    go_that_tells(elsewhere, "\n".join(modules))

    assert installs.go_program("vegeta").path == str(elsewhere / "go-programs/vegeta")


def test_a_go_program_of_other_modules_is_refused_and_removed(elsewhere: Path) -> None:
    _, _, modules = installs.locked_go()["vegeta"]
    first, *others = modules
    go_that_tells(elsewhere, "\n".join([first.replace("h1:", "h1:x"), *others]))

    with pytest.raises(SystemExit, match="other modules than"):
        installs.go_program("vegeta")

    assert not (elsewhere / "go-programs/vegeta").exists()
