"""One service, several processes, one truth about how often something happened. Each worker here is a real process."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cortex_core.observability.metrics_of_workers import count_death, found_metrics, leave_metrics

WORKER = """
import sys
from pathlib import Path
from cortex_core.observability.metrics_of_workers import share_metrics

folder, place, requests, connections, lag = Path(sys.argv[1]), *map(int, sys.argv[2:])
share_metrics(folder, place)

from prometheus_client.core import GaugeMetricFamily
from cortex_core.observability import MetricsCollector

class Harvest:
    def collect(self):
        yield GaugeMetricFamily("tea_harvest", "Read anew at each scrape, from where all workers find it", 12)

metrics = MetricsCollector()
metrics.show(Harvest())
metrics.create_counter("tea_requests_total", "Requests", ("route",)).labels(route="/tea").inc(requests)
metrics.create_histogram("tea_seconds", "Duration", buckets=(0.1, 1.0)).observe(0.05 if requests % 2 else 0.5)
metrics.create_gauge("tea_connections", "Connections").set(connections)
metrics.create_gauge("tea_lag", "Lag", merge="max").set(lag)
open_now = [0]
metrics.create_gauge("tea_open", "Followed", ("state",)).labels(state="busy").follow(lambda: open_now[0])
open_now[0] = connections
metrics.refresh()
print(metrics.to_prometheus_format(), flush=True)
sys.stdin.read()
"""


class Worker:
    """A process in a place; it counts, tells, and waits for its end."""

    def __init__(self, folder: Path, place: int, requests: int = 0, connections: int = 0, lag: int = 0) -> None:
        arguments = map(str, (folder, place, requests, connections, lag))
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "\n")
        self.told = dict(line.rstrip().rsplit(" ", 1) for line in lines if not line.startswith("#"))

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_what_is_read_anew_at_each_scrape_is_told_once(folder: Path) -> None:
    first, second = Worker(folder, 0), Worker(folder, 1)

    assert first.told["tea_harvest"] == second.told["tea_harvest"] == "12.0"

    first.end()
    second.end()


def test_whoever_is_asked_tells_of_all(folder: Path) -> None:
    first = Worker(folder, 0, requests=3, connections=5, lag=7)
    second = Worker(folder, 1, requests=4, connections=1, lag=2)

    assert first.told['tea_requests_total{route="/tea"}'] == "3.0"
    assert second.told['tea_requests_total{route="/tea"}'] == "7.0"
    assert second.told["tea_connections"] == "6.0"
    assert second.told["tea_lag"] == "7.0"
    assert second.told['tea_open{state="busy"}'] == "6.0"
    assert second.told['tea_seconds_bucket{le="0.1"}'] == "1.0"
    assert second.told['tea_seconds_bucket{le="+Inf"}'] == second.told["tea_seconds_count"] == "2.0"
    assert float(second.told["process_resident_memory_bytes"]) > float(first.told["process_resident_memory_bytes"])
    first.end()
    second.end()


def test_what_a_dead_worker_counted_has_happened_and_what_it_had_open_is_gone(folder: Path) -> None:
    Worker(folder, 0, requests=3, connections=5, lag=9).end()
    successor = Worker(folder, 0, requests=1, connections=2, lag=1)

    assert successor.told['tea_requests_total{route="/tea"}'] == "4.0"
    assert successor.told["tea_connections"] == "2.0"
    assert successor.told["tea_lag"] == "1.0"
    successor.end()


def test_a_place_that_is_free_has_nothing_open(folder: Path) -> None:
    Worker(folder, 0, requests=3, connections=5).end()
    leave_metrics(folder, 0)
    other = Worker(folder, 1, connections=2)

    assert other.told['tea_requests_total{route="/tea"}'] == "3.0"
    assert other.told["tea_connections"] == "2.0"
    other.end()


def test_a_file_that_another_worker_has_just_made_does_not_end_the_scrape(folder: Path) -> None:
    (folder / "counter_1.db").touch()
    worker = Worker(folder, 0, requests=3)

    assert worker.told['tea_requests_total{route="/tea"}'] == "3.0"
    worker.end()


def test_files_are_no_more_than_places(folder: Path) -> None:
    for _ in range(3):
        Worker(folder, 0, requests=1).end()

    assert len(list(folder.iterdir())) == len({path.name for path in folder.iterdir()}) == 5  # a kind each, and the pid


def test_descriptors_are_those_of_the_process_nearest_to_its_limit(folder: Path) -> None:
    """Each has a limit of its own: a sum of what is open has nothing to be compared with."""
    first, second = Worker(folder, 0), Worker(folder, 1)
    most = max(psutil.Process(worker.process.pid).num_fds() for worker in (first, second))

    assert float(second.told["process_open_fds"]) <= most + 2  # it looked while it had two open for that
    assert second.told["process_max_fds"] == first.told["process_max_fds"]
    first.end()
    second.end()


def test_the_parent_is_one_of_the_service_s_processes(folder: Path) -> None:
    found_metrics(folder)
    us = psutil.Process()
    worker = Worker(folder, 0)
    theirs = psutil.Process(worker.process.pid).memory_info().rss

    assert float(worker.told["process_resident_memory_bytes"]) > theirs + us.memory_info().rss / 2
    assert abs(float(worker.told["process_start_time_seconds"]) - us.create_time()) < 2
    worker.end()


def test_what_ended_workers_used_stays_used_and_deaths_are_counted(folder: Path) -> None:
    found_metrics(folder)
    first, second = Worker(folder, 0), Worker(folder, 1)
    assert second.told["cortex_worker_deaths_total"] == "0.0"
    second.end()
    leave_metrics(folder, 1)
    count_death(folder)
    third = Worker(folder, 2)

    assert float(third.told["process_cpu_seconds_total"]) > float(second.told["process_cpu_seconds_total"])
    assert third.told["cortex_worker_deaths_total"] == "1.0"
    first.end()
    third.end()


def test_one_process_alone_shares_nothing(folder: Path) -> None:
    from cortex_core.observability import MetricsCollector

    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    metrics = MetricsCollector()
    metrics.create_gauge("tea_connections", "Connections").set(2)

    assert "tea_connections 2.0" in metrics.to_prometheus_format()
    assert "cortex_worker_deaths_total 0.0" in metrics.to_prometheus_format()
    assert list(folder.iterdir()) == []


def test_a_gauge_merges_one_way_only() -> None:
    from cortex_core.observability import MetricsCollector

    metrics = MetricsCollector()
    metrics.create_gauge("tea_lag", "Lag", merge="max")

    with pytest.raises(ValueError, match="tea_lag is already"):
        metrics.create_gauge("tea_lag", "Lag")
