"""What the hub says about itself: log lines, figures, health, traces. Needs the extra `observability`.

Each of the four stands alone; they share only the kernel's context and the rule of what is secret (`redaction`).
"""

from cortex_core.observability.health import (
    HealthCheck,
    HealthCheckRegistry,
    HealthReport,
    Status,
    memory_check,
    uptime_check,
)
from cortex_core.observability.instruments import Counter, Gauge, Histogram
from cortex_core.observability.logging import Lines, Logger, configure_logging
from cortex_core.observability.metrics import PROMETHEUS_CONTENT_TYPE, MetricsCollector
from cortex_core.observability.repeats import Repeats
from cortex_core.observability.tracing import Span, Tracer

__all__ = [
    "PROMETHEUS_CONTENT_TYPE",
    "Counter",
    "Gauge",
    "HealthCheck",
    "HealthCheckRegistry",
    "HealthReport",
    "Histogram",
    "Lines",
    "Logger",
    "MetricsCollector",
    "Repeats",
    "Span",
    "Status",
    "Tracer",
    "configure_logging",
    "memory_check",
    "uptime_check",
]
