"""A pytest plugin: the process that runs the tests stands still, again and again, as on a machine others keep busy.

`make standstill` runs the suite under it. A test that fails there trusts the real clock to be patient: with a time-out
that is not its point, or with a time in which it takes something to have happened. What the tests start (redis-server,
PostgreSQL, services) runs on meanwhile, as it would.
"""

import os
import random
import select
import signal
import subprocess
import sys

import pytest

SHORTEST, LONGEST = 0.5, 1.2  # seconds of a standstill
APART = 1.0  # seconds until the next one begins, at most


class Standstill:
    """From a process's first test on: while tests are collected nobody minds."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None

    def pytest_runtest_setup(self) -> None:
        if self._helper is None:
            command = [sys.executable, __file__, str(os.getpid())]
            self._helper = subprocess.Popen(command, stdin=subprocess.PIPE)

    def pytest_sessionfinish(self) -> None:
        if self._helper is not None:
            self._helper.communicate()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Standstill())


def stop_again_and_again(pid: int) -> None:
    """Until the process closes our standard input, or has ended. Whenever that is, it is not left stopped."""
    while not _over_within(random.uniform(0.02, APART)):
        try:
            os.kill(pid, signal.SIGSTOP)
            _over_within(random.uniform(SHORTEST, LONGEST))
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return


def _over_within(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


if __name__ == "__main__":
    stop_again_and_again(int(sys.argv[1]))
