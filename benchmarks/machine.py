"""The two CPUs: the program under test has one to itself, what loads it has the other; and who used them."""

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final, Self

import psutil

ROOT: Final = Path(__file__).parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@cache
def cpus() -> tuple[int, int]:
    """The program's CPU and the load's. Raises SystemExit where there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: two CPUs are needed, one for the program under test, one for what loads it")
    return allowed[0], allowed[1]


def settle() -> None:
    """This process, and all that it starts from now on, moves to the load's CPU; `on_program_cpu` makes exceptions."""
    os.sched_setaffinity(0, {cpus()[1]})


def on_program_cpu(command: list[str]) -> list[str]:
    return [tool("taskset", "util-linux"), "-c", str(cpus()[0]), *command]


def tool(name: str, package: str) -> str:
    """Where the program is. Raises SystemExit that says what to install."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"bench: {name} is not on the PATH: apt-get install {package}")
    return found


@dataclass(frozen=True, slots=True)
class Effort:
    """CPU seconds that were used in `elapsed` seconds: by the program under test, by its load, by others on its CPU."""

    elapsed: float
    program: float
    load: float
    others: float

    @property
    def void(self) -> bool:
        """The load was the busier one: what was measured is how fast it is, not the program."""
        return self.load > self.program


class Meter:
    """Reads the CPUs from `start` to `stop`. `program` and `load` give the CPU seconds each has used so far."""

    def __init__(self, program: Callable[[], float], load: Callable[[], float]) -> None:
        self._program = program
        self._load = load

    def start(self) -> Self:
        self._before = self._read()
        return self

    def stop(self) -> Effort:
        elapsed, program, load, busy = (
            after - before for after, before in zip(self._read(), self._before, strict=True)
        )
        return Effort(elapsed, program, load, max(0.0, busy - program))

    def _read(self) -> tuple[float, float, float, float]:
        return time.monotonic(), self._program(), self._load(), busy_seconds(cpus()[0])


def used_by(pid: int) -> Callable[[], float]:
    """CPU seconds of a process, its threads included."""
    process = psutil.Process(pid)

    def used() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return used


def used_by_ended_children() -> float:
    """CPU seconds of the children that have been waited for: the load generators."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def busy_seconds(cpu: int) -> float:
    """How long the CPU has worked since it was started, whoever for (proc(5), /proc/stat)."""
    line = next(row for row in Path("/proc/stat").read_text().splitlines() if row.startswith(f"cpu{cpu} "))
    user, nice, system, _idle, _iowait, irq, softirq, *_ = (int(word) for word in line.split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}"


def versions(*packages: str) -> str:
    """`name version` of packages, of our environment or of the peers'."""
    return ", ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str:
    folders = [*sys.path, *(str(path) for path in (ROOT / "benchmarks/.peers/venv/lib").glob("python*/site-packages"))]
    found = next(iter(metadata.distributions(name=package, path=folders)), None)
    return "?" if found is None else found.version


def first_line(*command: str) -> str:
    """The first line that a program prints of itself, as `--version` does."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (ran.stdout or ran.stderr).strip().partition("\n")[0]
