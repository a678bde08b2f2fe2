"""`make observe`, as people start it: a Prometheus of its own beside a hub's state, until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cortex_cli.state import Identity, Member, Record, State
from cortex_core.testing import free_port
from scripts.dashboards.alerts import ALERTS
from scripts.dashboards.alerts_of_traffic import RECORDINGS

ROOT = Path(__file__).parents[3]


def observe(state: Path, port: int, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "scripts/observe.py", f"--state={state}", f"--port={port}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of a hub that has been started once, and does not run."""
    (tmp_path / "cortex-state").write_text("")
    return tmp_path


def test_it_says_where_it_is_and_ctrl_c_ends_it(state: Path) -> None:
    port = free_port()
    with observe(state, port) as process:
        assert process.stdout
        told = process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10) as answer:
            rules = answer.read().decode()
        process.send_signal(signal.SIGINT)
        status = process.wait(20)

    assert f"http://127.0.0.1:{port}" in told
    assert "No hub runs" in told
    assert "CortexServiceDown" in rules
    assert status == 0


def test_what_does_not_run_here_is_not_missed(state: Path) -> None:
    """As after `cortex up --only gateway,order`."""
    here = Identity.of(os.getpid())
    members = [Member(name, "service", f"http://127.0.0.1:{free_port()}", here) for name in ("gateway", "order")]
    State(state).write(Record(here, "ready", tuple(members)))
    port = free_port()
    with observe(state, port) as process:
        assert process.stdout
        told = process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        process.send_signal(signal.SIGINT)

    rules = [rule for group in groups for rule in group["rules"]]
    down = [rule["labels"]["service"] for rule in rules if rule["name"] == "CortexServiceDown"]
    assert "It scrapes gateway, order, and has no rules for analytics, compute, notification, storage." in told
    assert down == ["gateway", "order"]
    assert {rule["name"] for rule in rules} == {*(alert.name for alert in ALERTS), *(each.name for each in RECORDINGS)}


def test_without_a_prometheus_it_says_how_to_get_one(state: Path) -> None:
    with observe(state, free_port(), PATH="/nowhere") as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (69, "")
    assert err.count("\n") == 1
    assert "apt-get install --no-install-recommends prometheus" in err


def test_a_folder_that_is_no_hubs_stays_as_it_is(tmp_path: Path) -> None:
    with observe(tmp_path, free_port()) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.count("\n") == 1
    assert "make up" in err
    assert not list(tmp_path.iterdir())
