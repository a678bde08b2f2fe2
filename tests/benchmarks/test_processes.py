"""What a benchmark starts has an end."""

import os
import signal
import subprocess
import sys

import pytest

from benchmarks import machine, processes
from cortex_core.testing.ports import free_port


@pytest.fixture(autouse=True)
def _one_cpu_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "on_program_cpu", lambda command: command)


def server(port: int) -> list[str]:
    return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]


def test_a_program_is_there_when_the_block_begins_and_gone_when_it_ends() -> None:
    port = free_port()

    with processes.program(server(port), port) as process:
        assert process.poll() is None

    assert process.poll() is not None


def test_a_program_is_gone_when_the_block_is_interrupted() -> None:
    port = free_port()

    with pytest.raises(KeyboardInterrupt), processes.program(server(port), port) as process:
        raise KeyboardInterrupt

    assert process.poll() is not None


def test_a_program_that_does_not_start_has_its_last_words_shown() -> None:
    with (
        pytest.raises(SystemExit, match=r"did not start:\n.*no such luck"),
        processes.program([sys.executable, "-c", "raise SystemExit('no such luck')"], free_port()),
    ):
        pytest.fail("the block must not run")


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.05)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()

        processes.end(process)

    assert process.returncode == -signal.SIGKILL


def test_the_run_of_a_failed_program_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.peers, "PYTHON", sys.executable)

    with pytest.raises(SystemExit, match="no_such_program"):
        processes.ran("benchmarks.no_such_program", timeout=20)


def test_the_program_has_a_cpu_that_its_load_does_not_use() -> None:
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("one CPU")
    try:
        machine.settle()
        script = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
        load, program = (cpus_of(command) for command in (script, machine.on_program_cpu(script)))
    finally:
        os.sched_setaffinity(0, before)

    assert (program, load) == tuple(str(cpu) for cpu in machine.cpus())


def cpus_of(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
