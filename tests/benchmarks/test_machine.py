"""Who used the CPUs."""

import os
import time

import pytest

from benchmarks import machine
from benchmarks.machine import Effort, Meter, busy_seconds, tool, used_by


def test_a_run_is_void_when_the_load_was_busier_than_the_program() -> None:
    assert Effort(elapsed=5, program=4.0, load=4.5, others=0).void
    assert not Effort(elapsed=5, program=4.5, load=4.0, others=0).void


def test_the_meter_takes_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, used, load = iter([100.0, 104.5]), iter([1.0, 5.0]), iter([7.0, 9.0])
    monkeypatch.setattr(machine, "busy_seconds", lambda cpu: next(busy))
    monkeypatch.setattr(machine, "cpus", lambda: (0, 1))

    effort = Meter(lambda: next(used), lambda: next(load)).start().stop()

    assert (effort.program, effort.load, effort.others) == (4.0, 2.0, 0.5)


def test_a_process_that_works_uses_its_cpu() -> None:
    used = used_by(os.getpid())
    before, end = used(), time.process_time() + 0.05

    while time.process_time() < end:
        pass

    assert used() > before


def test_the_kernel_counts_what_a_cpu_has_done() -> None:
    assert busy_seconds(0) > 0


def test_a_missing_tool_says_what_to_install() -> None:
    with pytest.raises(SystemExit, match="no-such-tool is not on the PATH: apt-get install its-package"):
        tool("no-such-tool", "its-package")
