"""What waits in counters and histograms: it is what prometheus_client itself would show, whoever counts and looks."""

import subprocess
import sys
import threading
from collections.abc import Sequence

import prometheus_client as prometheus
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.observability import MetricsCollector

BUCKETS = (0.1, 1.0, 10.0)
COLLECTED = """
import faulthandler
from cortex_core.observability import MetricsCollector
metrics = MetricsCollector()
counter, histogram = metrics.create_counter("tea_total", "Cups"), metrics.create_histogram("tea_seconds", "Time")
count, held = {
    "counter": (counter.inc, counter), "histogram": (lambda: histogram.observe(0.1), histogram._own)
}["KIND"]
faulthandler.dump_traceback_later(10, exit=True)  # it would wait for itself
with held._lock:
    count()  # as `__del__` or a coroutine's `finally` would
count()
counter.settle(), histogram.settle()
print(metrics.value("tea_total") if "KIND" == "counter" else metrics.value("tea_seconds_count"))
"""
values = st.one_of(st.sampled_from([*BUCKETS, 0.0, -1.0, float("inf")]), st.floats(-5, 20))


def shown(registry: prometheus.CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if family.name.startswith("tea") and not sample.name.endswith("_created")
    }


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(values, max_size=6), st.booleans()), max_size=8))
def test_figures_are_those_of_the_library(turns: Sequence[tuple[str, Sequence[float], bool]]) -> None:
    metrics, theirs = MetricsCollector(), prometheus.CollectorRegistry()
    counter = metrics.create_counter("tea_total", "Cups", ("route",))
    histogram = metrics.create_histogram("tea_seconds", "Time", BUCKETS, ("route",))
    other = prometheus.Counter("tea_total", "Cups", ("route",), registry=theirs)
    another = prometheus.Histogram("tea_seconds", "Time", ("route",), registry=theirs, buckets=BUCKETS)

    for route, observed, looked_at in turns:
        tally = histogram.labels(route=route).tally(counter.labels(route=route))
        for value in observed:
            tally.observe(value)
            histogram.labels(route=route).observe(value)
            counter.labels(route=route).inc(0.5)
            another.labels(route).observe(value)
            another.labels(route).observe(value)
            other.labels(route).inc(1.5)
        if not observed:
            another.labels(route), other.labels(route)
        if looked_at:
            metrics.to_prometheus_format()

    ours, expected = shown(metrics.registry), shown(theirs)
    assert ours.keys() == expected.keys()
    assert all(ours[name] == pytest.approx(expected[name], nan_ok=True) for name in ours)


def test_a_tally_counts_in_all_its_counters() -> None:
    metrics = MetricsCollector()
    asked = metrics.create_counter("tea_asked_total", "Asked")
    lanes = metrics.create_counter("tea_lanes_total", "Lanes", ("lane",))
    seconds = metrics.create_histogram("tea_seconds", "Time")

    seconds.tally(asked, lanes.labels(lane="fast")).observe(0.5)
    seconds.tally(asked).observe(0.5)

    found = {name: metrics.value(name) for name in ("tea_asked_total", "tea_seconds_count", "tea_seconds_sum")}
    assert found == {"tea_asked_total": 2, "tea_seconds_count": 2, "tea_seconds_sum": 1.0}
    assert metrics.value("tea_lanes_total", lane="fast") == 1


def test_the_same_counters_have_the_same_tally() -> None:
    metrics = MetricsCollector()
    asked, seconds = metrics.create_counter("tea_total", "Asked"), metrics.create_histogram("tea_seconds", "Time")

    assert seconds.tally(asked) is seconds.tally(asked)
    assert seconds.tally(asked) is not seconds.tally()


def test_with_labels_open_nothing_is_observed() -> None:
    metrics = MetricsCollector()

    with pytest.raises(ValueError, match="label"):
        metrics.create_histogram("tea_seconds", "Time", labels=("route",)).observe(1.0)


def test_whoever_reads_the_registry_sees_what_waits() -> None:
    registry = prometheus.CollectorRegistry()
    metrics = MetricsCollector(registry)
    metrics.create_counter("tea_total", "Cups").inc(3)
    metrics.create_histogram("tea_seconds", "Time", (1.0,)).observe(0.5)

    page = prometheus.generate_latest(registry).decode()

    assert "tea_total 3.0" in page
    assert 'tea_seconds_bucket{le="1.0"} 1.0' in page


def test_what_several_threads_count_while_others_look_is_all_there() -> None:
    metrics = MetricsCollector()
    counter, seconds = metrics.create_counter("tea_total", "Cups"), metrics.create_histogram("tea_seconds", "Time")
    tally, over = seconds.tally(metrics.create_counter("tea_asked_total", "Asked")), threading.Event()

    def count() -> None:
        for _ in range(2000):
            counter.inc()
            tally.observe(0.25)

    def look() -> None:
        while not over.is_set():
            metrics.settle()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    counters = [threading.Thread(target=count) for _ in range(4)]
    for thread in (*lookers, *counters):
        thread.start()
    for thread in counters:
        thread.join()
    over.set()
    for thread in lookers:
        thread.join()

    found = [metrics.value(name) for name in ("tea_total", "tea_asked_total", "tea_seconds_count", "tea_seconds_sum")]
    assert found == [8000, 8000, 8000, 2000.0]


@pytest.mark.parametrize("kind", ["counter", "histogram"])
def test_who_is_collected_while_somebody_counts_or_looks_counts_too(kind: str) -> None:
    """A dropped request counts in its `finally`, whenever the collector finds it: also in the thread that counts."""
    program = COLLECTED.replace("KIND", kind)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert (ended.returncode, ended.stdout.strip()) == (0, "2.0"), ended.stderr
