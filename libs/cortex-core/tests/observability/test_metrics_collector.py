"""MetricsCollector: what Prometheus reads, and how it stays small."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from cortex_core.observability import MetricsCollector


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector(max_values=3)


def test_a_counter_grows(metrics: MetricsCollector) -> None:
    placed = metrics.create_counter("orders_placed_total", "Orders placed")

    placed.inc()
    placed.inc(2)

    assert metrics.value("orders_placed_total") == 3
    with pytest.raises(ValueError):
        placed.inc(-1)


def test_a_gauge_goes_up_and_down(metrics: MetricsCollector) -> None:
    active = metrics.create_gauge("active_orders", "Orders at work")

    active.set(5)
    active.inc()
    active.dec(2)

    assert metrics.value("active_orders") == 4


def test_a_histogram_counts_into_cumulative_buckets(metrics: MetricsCollector) -> None:
    seconds = metrics.create_histogram("processing_seconds", "Time an order takes", buckets=(0.1, 1, 10))

    for value in (0.05, 0.1, 0.5, 60):
        seconds.observe(value)

    assert [metrics.value("processing_seconds_bucket", le=le) for le in ("0.1", "1.0", "10.0", "+Inf")] == [2, 3, 3, 4]
    assert metrics.value("processing_seconds_count") == 4
    assert metrics.value("processing_seconds_sum") == pytest.approx(60.65)


def test_labels_make_children_that_are_bound_once(metrics: MetricsCollector) -> None:
    requests = metrics.create_counter("requests_total", "Requests", labels=("method", "status"))

    requests.labels(method="GET", status=200).inc()
    requests.labels(status="200", method="GET").inc()

    assert metrics.value("requests_total", method="GET", status="200") == 2
    assert requests.labels(method="GET", status=200) is requests.labels(method="GET", status="200")


@pytest.mark.parametrize(
    "labels", [{}, {"method": "GET"}, {"method": "GET", "state": "1"}, {"method": 1, "status": 2, "x": 3}]
)
def test_other_labels_than_declared_are_refused_by_name(metrics: MetricsCollector, labels: dict[str, object]) -> None:
    requests = metrics.create_counter("requests_total", "Requests", labels=("method", "status"))

    with pytest.raises(ValueError, match=r"requests has the labels \['method', 'status'\]"):
        requests.labels(**labels)


def test_a_labelled_metric_cannot_be_used_without_its_labels(metrics: MetricsCollector) -> None:
    with pytest.raises(ValueError):
        metrics.create_counter("requests_total", "Requests", labels=("method",)).inc()


def test_the_same_name_again_is_the_same_metric(metrics: MetricsCollector) -> None:
    first = metrics.create_histogram("seconds", "Time", buckets=(1, 2), labels=("route",))

    assert metrics.create_histogram("seconds", "Time", buckets=(1.0, 2.0), labels=("route",)) is first


@pytest.mark.parametrize(
    "again",
    [
        lambda metrics: metrics.create_gauge("seconds", "Time", labels=("route",)),
        lambda metrics: metrics.create_histogram("seconds", "Time", buckets=(1, 2), labels=("path",)),
        lambda metrics: metrics.create_histogram("seconds", "Time", buckets=(1, 3), labels=("route",)),
    ],
)
def test_the_same_name_as_something_else_is_refused_by_name(
    metrics: MetricsCollector, again: Callable[[MetricsCollector], object]
) -> None:
    metrics.create_histogram("seconds", "Time", buckets=(1, 2), labels=("route",))

    with pytest.raises(ValueError, match="metric seconds is already a histogram"):
        again(metrics)


class TestBound:
    def test_values_beyond_it_are_other_and_counted(self, metrics: MetricsCollector) -> None:
        requests = metrics.create_counter("requests_total", "Requests", labels=("path",))

        for number in range(10):
            requests.labels(path=f"/{number}").inc()

        shown = {f"/{number}": metrics.value("requests_total", path=f"/{number}") for number in range(4)}
        assert shown == {"/0": 1, "/1": 1, "/2": 1, "/3": None}
        assert metrics.value("requests_total", path="other") == 7
        assert metrics.value("cortex_hub_metric_overflow_total", metric="requests", label="path") == 7

    def test_values_seen_before_it_was_reached_go_on(self, metrics: MetricsCollector) -> None:
        requests = metrics.create_counter("requests_total", "Requests", labels=("path",))
        for number in range(10):
            requests.labels(path=f"/{number}")

        requests.labels(path="/0").inc()

        assert metrics.value("requests_total", path="/0") == 1

    def test_each_label_has_its_own(self, metrics: MetricsCollector) -> None:
        requests = metrics.create_counter("requests_total", "Requests", labels=("path", "method"))
        for number in range(10):
            requests.labels(path=f"/{number}", method="GET").inc()

        requests.labels(path="/99", method="POST").inc()

        assert metrics.value("requests_total", path="other", method="POST") == 1

    def test_a_flood_of_values_leaves_no_memory_behind(self, metrics: MetricsCollector) -> None:
        requests = metrics.create_counter("requests_total", "Requests", labels=("path",))

        for number in range(10_000):
            requests.labels(path=f"/{number}").inc()

        assert len(requests._children) == 4
        assert metrics.to_prometheus_format().count("\nrequests_total{") == 4

    def test_it_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="max_values"):
            MetricsCollector(max_values=0)


class TestTextFormat:
    def test_a_scraper_reads_back_what_was_counted(self, metrics: MetricsCollector) -> None:
        requests = metrics.create_counter("requests_total", 'Requests "so far"', labels=("path",))
        requests.labels(path='/with "quotes"\nand lines').inc()

        families = {family.name: family for family in text_string_to_metric_families(metrics.to_prometheus_format())}

        (sample,) = families["requests"].samples
        assert (sample.labels, sample.value) == ({"path": '/with "quotes"\nand lines'}, 1)
        assert families["requests"].documentation == 'Requests "so far"'

    def test_the_process_shows_its_cpu_and_memory_but_not_its_interpreter(self, metrics: MetricsCollector) -> None:
        text = metrics.to_prometheus_format()

        assert (metrics.value("process_cpu_seconds_total") or 0) > 0
        assert (metrics.value("process_resident_memory_bytes") or 0) > 1_000_000
        assert "process_cpu_seconds_total " in text
        assert "python_" not in text

    def test_there_is_no_created_series(self, metrics: MetricsCollector) -> None:
        metrics.create_counter("requests_total", "Requests").inc()
        metrics.create_histogram("seconds", "Time").observe(1)

        assert "_created" not in metrics.to_prometheus_format()

    def test_two_collectors_do_not_mix(self, metrics: MetricsCollector) -> None:
        metrics.create_counter("requests_total", "Requests").inc()

        other = MetricsCollector()
        other.create_counter("requests_total", "Requests")

        assert other.value("requests_total") == 0

    def test_a_registry_can_be_brought_along(self) -> None:
        registry = CollectorRegistry()

        MetricsCollector(registry).create_counter("requests_total", "Requests").inc()

        assert registry.get_sample_value("requests_total") == 1
        assert registry.get_sample_value("process_cpu_seconds_total") is None


def test_a_gauge_can_follow_what_is_read_when_it_is_asked_for() -> None:
    metrics, held = MetricsCollector(), [1, 2]
    metrics.create_gauge("held", "Things", ("kind",)).labels(kind="all").follow(lambda: len(held))

    held.append(3)

    assert metrics.value("held", kind="all") == 3
