"""The plugin of `make standstill`: its fault fires, and only where it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from cortex_core.testing import eventually

ROOT = Path(__file__).parents[2]
# It reads the clock all the time, for four seconds at most: a pause between two readings is the process's.
WATCH = """
import time

def test_it_stood_still():
    end = time.monotonic() + 4
    before = time.monotonic()
    while before < end:
        now = time.monotonic()
        if now - before >= 0.45:
            return
        before = now
    raise AssertionError("it never stood still")
"""


def run(tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    watch = tmp_path / "test_watch.py"
    watch.write_text(WATCH)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", *options, str(watch)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_whoever_runs_tests_stands_still_and_goes_on(tmp_path: Path, workers: str) -> None:
    done = run(tmp_path, "-p", "scripts.standstill", "-n", workers)
    assert done.returncode == 0, done.stdout


def test_control_without_it_nobody_does(tmp_path: Path) -> None:
    assert any(run(tmp_path, "-n", "0").returncode == 1 for _ in range(10))  # the machine itself may pause it


async def test_its_helper_ends_with_it(tmp_path: Path) -> None:
    run(tmp_path, "-p", "scripts.standstill", "-n", "0")
    await eventually(lambda: not left_over())


def left_over() -> list[str]:
    """Helpers whose process has ended: the suite may itself be under this plugin."""
    script = str(ROOT / "scripts" / "standstill.py")
    lines = [_words(process) for process in Path("/proc").glob("[0-9]*")]
    return [words[-2] for words in lines if script in words and not Path("/proc", words[-2]).exists()]


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text().split("\0")
    except OSError:  # it has ended meanwhile
        return []
