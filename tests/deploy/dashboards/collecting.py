"""A real OpenTelemetry Collector as a process: `CORTEX_TEST_COLLECTOR` is its program."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "observability" / "otel-collector"


def program() -> str:
    return os.environ["CORTEX_TEST_COLLECTOR"]


@cache
def has(*parts: str) -> bool:
    """Whether it is there and was built with these parts."""
    if not os.environ.get("CORTEX_TEST_COLLECTOR"):
        return False
    said = subprocess.run([program(), "components"], capture_output=True, text=True, check=True).stdout
    return all(f"name: {part}\n" in said for part in parts)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition: Callable[[], bool], log: Path, every: float = 0.05) -> None:
    """What the collector has said is what a failure shows."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, log.read_text()
        time.sleep(every)
