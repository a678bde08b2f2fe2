"""What the pool tells, as metrics and log lines: connections, requests under way, ejections, reuse races,
calls given up for time."""

from collections.abc import Callable, Mapping

from cortex_core.observability import Logger, MetricsCollector
from cortex_gateway.adapters.pool.service import ServicePool
from cortex_gateway.routes import Service


class PoolReporter:
    """The hooks (`PoolHooks`), and gauges that are read when they are asked for: nothing is counted on the way."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        counter, gauge = metrics.create_counter, metrics.create_gauge
        self._connections = gauge("cortex_upstream_connections", "Connections to a service", ("upstream", "state"))
        self._outstanding = gauge("cortex_upstream_outstanding", "Requests under way to a service", ("upstream",))
        self._sockets = gauge("cortex_gateway_websockets_open", "WebSockets that are passed on to a service")
        self._ejections = counter("cortex_upstream_ejections_total", "Replicas that were left out", ("upstream",))
        self._races = counter(
            "cortex_upstream_reuse_races_total", "Kept connections that were closed when they were used", ("upstream",)
        )
        self._timeouts = counter(  # the one that resilience's own timeouts count in
            "cortex_timeouts_total", "Calls given up, by whose time was over", ("name", "whose")
        )

    def show(self, services: Mapping[Service, ServicePool], sockets: Callable[[], float]) -> None:
        """From now on. `sockets` says how many WebSockets are open."""
        self._sockets.follow(sockets)
        for service, pool in services.items():
            self._connections.labels(upstream=service, state="idle").follow(pool.idle)
            self._connections.labels(upstream=service, state="active").follow(pool.active)
            self._outstanding.labels(upstream=service).follow(pool.outstanding)
            self._ejections.labels(upstream=service)
            self._races.labels(upstream=service)

    def ejected(self, service: Service, replica: str, seconds: float, /) -> None:
        self._ejections.labels(upstream=service).inc()
        self._logger.warning("replica ejected", service=service, replica=replica, seconds=seconds)

    def raced(self, service: Service, /) -> None:
        self._races.labels(upstream=service).inc()

    def ran_out(self, service: Service, /, *, hurried: bool) -> None:
        self._timeouts.labels(name=service, whose="caller" if hurried else "own").inc()
