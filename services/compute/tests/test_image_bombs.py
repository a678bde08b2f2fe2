"""Bombs: small files that would be large in memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "send_bomb.py"


@pytest.mark.parametrize(
    ("bomb", "status"),
    [
        ("png", 413),
        ("jpeg", 413),
        ("webp", 413),
        ("webp-canvas", 413),
        ("text", 200),  # a picture like any other, once that is left out
        ("text-of-gigabytes", 200),
        ("profile", 200),
        ("too-many-pixels", 200),
    ],
)
def test_a_bomb_does_not_go_off(bomb: str, status: int) -> None:
    run = subprocess.run([sys.executable, PROGRAM, bomb], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])

    assert told["status"] == status
    assert told["grown"] <= 16 << 20
