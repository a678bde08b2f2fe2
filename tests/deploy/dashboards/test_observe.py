"""`make observe`, as people start it: a Prometheus of its own beside a hub's state, until Ctrl-C."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cortex_core.testing import free_port

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
