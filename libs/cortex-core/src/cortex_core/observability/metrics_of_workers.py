"""Figures of a service that is several processes: whichever is scraped tells those of all.

Each worker writes its values to files of its own (prometheus_client's multiprocess mode), and a scrape adds them up.
The files belong to a worker's place, not to its process: who takes a place over goes on counting where the last one
ended, so that a counter never falls and the files are no more than the places. Nobody waits for a worker that is busy.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import prometheus_client as prometheus
from prometheus_client import values
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name for it
_PROCESS: Final = re.compile(r"worker_(\d+)\.pid")
_OF_ONE: Final = frozenset({"process_start_time_seconds", "process_max_fds"})  # what does not add up


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


class _Processes(Collector):
    """CPU time, memory and descriptors of all workers together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Family]:
        together: dict[str, Family] = {}
        for pid in self._processes():
            for family in prometheus.ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                known = together.setdefault(family.name, family)
                if known is not family:
                    known.samples = [_added(*pair) for pair in zip(known.samples, family.samples, strict=True)]
        return together.values()

    def _processes(self) -> Iterator[int]:
        for path in self._folder.iterdir():
            if _PROCESS.fullmatch(path.name):
                try:
                    yield int(path.read_text())
                except (OSError, ValueError):  # it has just ended, or is just beginning
                    continue


def _added(one: prometheus.samples.Sample, other: prometheus.samples.Sample) -> prometheus.samples.Sample:
    together = min(one.value, other.value) if one.name in _OF_ONE else one.value + other.value
    return one._replace(value=together)
