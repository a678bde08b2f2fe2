"""Figures of a service that is several processes: whichever is scraped tells those of all.

Each worker writes its values to files of its own (prometheus_client's multiprocess mode), and a scrape adds them up.
Their parent keeps no figures; it is a process of the service all the same, counts their deaths, and has what ended ones
have used.
The files belong to a worker's place, not to its process: who takes a place over goes on counting where the last one
ended, so that a counter never falls and the files are no more than the places. Nobody waits for a worker that is busy.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import prometheus_client as prometheus
from prometheus_client import values
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for it
_PROCESS: Final = re.compile(r"worker_(\d+)\.pid")
_PARENT: Final = "parent.pid"
_DEATHS: Final = "deaths"
_OPEN: Final = "process_open_fds"
_MAY: Final = "process_max_fds"


def found_metrics(folder: Path) -> None:
    """In the parent, before there is a worker: `folder` is the service's."""
    (folder / _PARENT).write_text(str(os.getpid()))
    (folder / _DEATHS).touch()


def count_death(folder: Path) -> None:
    """A worker has ended that nobody had told to."""
    with (folder / _DEATHS).open("ab") as deaths:
        deaths.write(b".")  # their number is its size: nobody reads half of it


def share_metrics(folder: Path, place: int) -> None:
    """From here on, metrics that this process makes are merged with those of the workers who share `folder`. Before any
    is made: a value knows from its birth where it is kept. What the last one in this `place` had open (its gauges) is
    gone, what it counted goes on."""
    os.environ[_FOLDER] = str(folder)
    leave_metrics(folder, place)
    (folder / f"worker_{place}.pid").write_text(str(os.getpid()))
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]  # the library's


def leave_metrics(folder: Path, place: int) -> None:
    """The process in this `place` has ended: it has no connections any more, but what it counted has happened."""
    (folder / f"worker_{place}.pid").unlink(missing_ok=True)
    mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]  # the library's


def is_one_of_several() -> bool:
    """Whether metrics that this process makes are merged with others'."""
    return _FOLDER in os.environ


def merged_registry() -> prometheus.CollectorRegistry | None:
    """What all workers have to tell; None where this process is the only one."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return None
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Written(None, folder))  # type: ignore[no-untyped-call]  # the library's
    registry.register(_Processes(Path(folder)))
    registry.register(WorkerDeaths())
    return registry


class _Written(MultiProcessCollector):
    """What the workers have written. A file that one has just made, and has nothing in it yet, would end the scrape."""

    def collect(self) -> Iterable[Family]:
        written = [str(path) for path in Path(self._path).glob("*.db") if _has_begun(path)]
        families: Iterable[Family] = self.merge(written, accumulate=True)  # type: ignore[no-untyped-call]
        return families


def _has_begun(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:  # its worker has ended
        return False


class WorkerDeaths(Collector):
    """Also of a process that is the only one, and has none to lose: a counter that is there from the start."""

    def collect(self) -> Iterable[Family]:
        folder = os.environ.get(_FOLDER)
        deaths = Path(folder) / _DEATHS if folder is not None else None
        yield CounterMetricFamily(
            "cortex_worker_deaths",
            "Worker processes that ended without having been told to",
            deaths.stat().st_size if deaths is not None and deaths.exists() else 0,
        )


class _Processes(Collector):
    """CPU time and memory of parent and workers together, ended workers' time included; the service's start, which is
    its oldest process's; the descriptors of the process that is nearest to its limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Family]:
        processes, ended = self._looked()
        known = {name: family for process in processes for name, family in process.items()}
        for name, family in known.items():
            told = [_value(process, name) for process in processes if name in process]
            match name:
                case "process_open_fds" | "process_max_fds":  # of one, for the two are compared
                    value = _value(max(processes, key=_share), name)
                case "process_start_time_seconds":
                    value = min(told)
                case "process_cpu_seconds":
                    value = sum(told) + ended
                case _:
                    value = sum(told)
            family.samples = [family.samples[0]._replace(value=value)]
            yield family

    def _looked(self) -> tuple[list[dict[str, Family]], float]:
        """What each process is like, and the seconds that ended ones used: at a moment at which none passes from the
        living to the dead, for it would be counted twice, or not at all."""
        parent = self._read(_PARENT)
        ended = _used_by_ended_children(parent)
        while True:
            workers = [path.name for path in self._folder.iterdir() if _PROCESS.fullmatch(path.name)]
            pids = [parent, *map(self._read, workers)]
            seen = [found for pid in pids if pid is not None and (found := _seen(pid))]
            before, ended = ended, _used_by_ended_children(parent)
            if ended == before:  # workers do not end so often that this would go on
                return seen, ended

    def _read(self, name: str) -> int | None:
        try:
            return int((self._folder / name).read_text())
        except (OSError, ValueError):  # it has just ended, or is just beginning
            return None


def _seen(pid: int) -> dict[str, Family]:
    found = prometheus.ProcessCollector(pid=lambda: pid, registry=None).collect()
    return {family.name: family for family in found}


def _value(process: dict[str, Family], name: str) -> float:
    return process[name].samples[0].value


def _share(process: dict[str, Family]) -> float:
    """Of its descriptors that are open; those of one that has just ended are not to be had."""
    return _value(process, _OPEN) / _value(process, _MAY) if {_OPEN, _MAY} <= process.keys() else -1.0


def _used_by_ended_children(parent: int | None) -> float:
    """Seconds of CPU, by proc(5)'s cutime and cstime."""
    try:
        fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
