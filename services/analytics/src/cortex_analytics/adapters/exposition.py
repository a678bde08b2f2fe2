"""The figures in Prometheus' words, read from the ledger at each scrape: right after a restart, alike in all replicas.

All replicas tell the same totals: panels take `max`, not `sum`, over them.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cortex_analytics.domain import BOUNDS, Figures, Outcome
from cortex_core.observability import MetricsCollector


class PrometheusExposition(Collector):
    """`Exposition` in the process's registry."""

    def __init__(self, metrics: MetricsCollector) -> None:
        self._metrics = metrics
        self._totals: Figures | None = None
        metrics.show(self)

    def render(self, totals: Figures | None) -> str:
        self._totals = totals
        return self._metrics.to_prometheus_format()

    def collect(self) -> Iterator[Metric]:
        totals = self._totals
        if totals is None:
            return
        yield GaugeMetricFamily(
            "cortex_hub_active_orders", "Orders created and neither completed, failed nor cancelled", totals.active
        )
        yield CounterMetricFamily("cortex_hub_orders_created", "Orders created", totals.created)
        ended = CounterMetricFamily("cortex_hub_orders_ended", "Orders ended, by outcome", labels=("outcome",))
        for outcome in Outcome:
            ended.add_metric((outcome.value,), getattr(totals, outcome.value))
        yield ended
        bounds = [*(f"{bound:.1f}" for bound in BOUNDS), "+Inf"]
        yield HistogramMetricFamily(
            "cortex_hub_order_processing_seconds",
            "Seconds from an order's creation to its completion",
            buckets=list(zip(bounds, map(float, totals.durations.cumulative()), strict=True)),
            sum_value=totals.durations.sum,
        )
