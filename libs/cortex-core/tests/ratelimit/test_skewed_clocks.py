"""Four processes whose clocks are a minute apart share one limit. The control, on the clocks of who asks, does not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

from cortex_core.testing import RedisServer

ASKER = Path(__file__).parent / "programs" / "asker.py"
SKEWS = (-61.0, 0.0, 61.0, 122.0)


class Asker:
    """One process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._answers = cast("IO[str]", process.stdout)
        self._orders = cast("IO[str]", process.stdin)

    def ready(self) -> None:
        assert self._answers.readline() == "ready\n"

    def order(self, text: str) -> None:
        self._orders.write(text + "\n")
        self._orders.flush()

    def answer(self) -> list[tuple[float, float]]:
        return [(sent, answered) for sent, answered in json.loads(self._answers.readline())]


@contextmanager
def askers(url: str, kind: str, limit: int, window: float) -> Iterator[list[Asker]]:
    """One for each of SKEWS, the one furthest behind first."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(ASKER), url, kind, str(limit), str(window), str(skew)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for skew in SKEWS
    ]
    try:
        started = [Asker(process) for process in processes]
        for each in started:
            each.ready()
        yield started
    finally:
        for process in processes:
            with process:
                process.kill()


def one_after_the_other(url: str, kind: str) -> int:
    """How many of four bursts of 150 pass a limit of 100 a minute."""
    admitted = 0
    with askers(url, kind, limit=100, window=60.0) as started:
        for asker in started:
            asker.order("burst 150")
            admitted += len(asker.answer())
    return admitted


def test_the_naive_one_admits_a_limit_a_clock(redis_url: str) -> None:
    assert one_after_the_other(redis_url, "naive") >= 300


def test_ours_admits_the_limit(redis_url: str) -> None:
    assert one_after_the_other(redis_url, "ours") == 100


@pytest.mark.parametrize("limit", [100, 200], ids=["exact", "in parts"])
def test_no_window_sees_more_than_the_limit(redis_url: str, redis_server: RedisServer, limit: int) -> None:
    """A call was counted at some moment between being sent and being answered. So of those that were sent and answered
    within a window, all were counted in it."""
    window, seconds = 0.5, 2.0
    with askers(redis_url, "ours", limit, window) as started:
        for asker in started:
            asker.order(f"steady {seconds}")
        admitted = sorted(call for asker in started for call in asker.answer())

    fullest = max(
        sum(begin <= sent and answered < begin + window for sent, answered in admitted) for begin, _ in admitted
    )
    assert fullest <= limit
    assert len(admitted) >= 2 * limit, "and it went on admitting"
