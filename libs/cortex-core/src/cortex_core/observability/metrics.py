"""Figures: counters, gauges and histograms over prometheus_client, in a registry of their own.

Owns what Prometheus scrapes from this process. Promises bounded memory: a label takes at most `max_values` different
values, further ones become `other`, and how often that happened is itself a figure
(`cortex_hub_metric_overflow_total`).
Bind label children once where a path is hot: `errors = requests.labels(status="500")`. Next: `instruments.py` counts,
and `metrics_of_workers.py` is for where one service is several processes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

import prometheus_client as prometheus
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from cortex_core.observability.instruments import Counter, Gauge, Histogram
from cortex_core.observability.metrics_of_workers import WorkerDeaths, merged_registry

PROMETHEUS_CONTENT_TYPE: Final = prometheus.exposition.CONTENT_TYPE_PLAIN_0_0_4
DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a name was first created as; creating it again must say the same."""

    kind: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    merge: str = ""

    def __str__(self) -> str:
        buckets = f", buckets {list(self.buckets)}" if self.buckets else ""
        return f"a {self.kind} with labels {list(self.labels)}{buckets}"


Metric = TypeVar("Metric", Counter, Gauge, Histogram)


class MetricsCollector:
    """Makes metrics and shows them. The same name twice is the same metric; as anything else it is a ValueError.

    Without a registry of the caller's it makes its own, with this process's CPU time and memory in it.
    """

    def __init__(self, registry: prometheus.CollectorRegistry | None = None, *, max_values: int = 100) -> None:
        if max_values < 1:
            raise ValueError(f"max_values must be at least 1, not {max_values}")
        self._max_values = max_values
        self.registry = prometheus.CollectorRegistry() if registry is None else registry
        self._made: dict[str, tuple[_Shape, Any]] = {}
        self._read_anew: list[Collector] = []
        self.registry.register(_Settling(self.settle))  # before all others: they are asked in that order
        if registry is None:
            prometheus.ProcessCollector(registry=self.registry)
            self.registry.register(WorkerDeaths())
        self._overflow = prometheus.Counter(
            "cortex_hub_metric_overflow_total",
            "Label values that came after the bound and were counted as other",
            ("metric", "label"),
            registry=self.registry,
        )

    def create_counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:  # noqa: A002 - Prometheus' word
        return self._create(Counter, prometheus.Counter, name, help, _Shape("counter", tuple(labels)))

    def create_gauge(
        self,
        name: str,
        help: str,  # noqa: A002 - Prometheus' word
        labels: Sequence[str] = (),
        *,
        merge: Literal["sum", "max", "min"] = "sum",
    ) -> Gauge:
        """`merge`: what the workers of one service have together. Their connections add up; a state that each of them
        sees for itself, or a lag that all of them see, is the largest; what all of them must have is the least."""
        shape = _Shape("gauge", tuple(labels), merge=merge)
        return self._create(Gauge, prometheus.Gauge, name, help, shape, multiprocess_mode=f"live{merge}")

    def create_histogram(
        self,
        name: str,
        help: str,  # noqa: A002 - Prometheus' word
        buckets: Sequence[float] = DEFAULT_BUCKETS,
        labels: Sequence[str] = (),
    ) -> Histogram:
        """`buckets` are upper bounds, growing; the last, infinity, is added."""
        shape = _Shape("histogram", tuple(labels), tuple(map(float, buckets)))
        return self._create(Histogram, prometheus.Histogram, name, help, shape, buckets=shape.buckets)

    def _create(
        self, ours: type[Metric], native: Any, name: str, description: str, shape: _Shape, **options: Any
    ) -> Metric:
        if name in self._made:
            first, metric = self._made[name]
            if first != shape:
                raise ValueError(f"metric {name} is already {first}; it cannot also be {shape}")
            return cast("Metric", metric)  # the shape, which is the same, says which it is
        made = native(name, description, shape.labels, registry=self.registry, **options)
        metric = ours(made, shape.labels, self._max_values, self._overflow)
        self._made[name] = (shape, metric)
        return metric

    def show(self, collector: Collector) -> None:
        """From now on figures that `collector` reads anew at each scrape: the same in whichever worker is asked."""
        self.registry.register(collector)
        self._read_anew.append(collector)

    def settle(self) -> None:
        """Hands on what waits in counters and histograms. Whoever reads the registry does so by reading it."""
        for _, metric in list(self._made.values()):
            metric.settle()

    def refresh(self) -> None:
        """Looks again at what gauges follow: for a worker, which does not hear when another one is scraped."""
        for _, metric in self._made.values():
            if isinstance(metric, Gauge):
                metric.refresh()

    def value(self, name: str, /, **labels: object) -> float | None:
        """The sample `name` (`…_total`, `…_count`, `…_sum`, as Prometheus names them) as it is now, or None."""
        return self.registry.get_sample_value(name, {label: str(value) for label, value in labels.items()})

    def to_prometheus_format(self) -> str:
        """The text exposition format, version 0.0.4 (`PROMETHEUS_CONTENT_TYPE`), of all workers together."""
        shown = merged_registry()
        if shown is None:
            shown = self.registry
        else:
            for collector in self._read_anew:  # no worker's files hold them
                shown.register(collector)
        return prometheus.generate_latest(_WithoutCreated(shown)).decode()


class _Settling(Collector):
    """No figures: it hears that somebody reads the registry."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> Iterable[Family]:
        self._settle()
        return ()


class _WithoutCreated(Collector):
    """The registry without `…_created`: a second series beside each counter, which no panel of ours reads. The
    library's own switch for them is one for the whole process, and that is its owner's."""

    def __init__(self, registry: prometheus.CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Family]:
        for family in self._registry.collect():
            if family.type in ("counter", "histogram", "summary"):
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
