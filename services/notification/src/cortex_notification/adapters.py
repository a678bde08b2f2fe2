"""What connections leave behind in metrics and log."""

from cortex_core.observability import Logger, MetricsCollector
from cortex_core.realtime import ConnectionDetails


class Reporter:
    """`realtime.OnConnection`: a gauge of who is here, a counter of how lines ended, a log line each."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._connected = metrics.create_gauge("cortex_hub_websocket_connections", "Active WebSocket connections")
        self._closed = metrics.create_counter(
            "cortex_hub_websocket_closed_total",
            "WebSocket connections that ended, by who or what ended them",
            ("code",),
        )

    def opened(self, details: ConnectionDetails) -> None:
        self._connected.set(details.connected)
        self._logger.info("client connected", client_id=details.id, connected=details.connected)

    def ended(self, details: ConnectionDetails) -> None:
        closing = details.closing
        self._connected.set(details.connected)
        self._closed.labels(code="left" if closing is None else closing.code).inc()
        self._logger.info(
            "client gone",
            client_id=details.id,
            connected=details.connected,
            reason="left" if closing is None else closing.reason,
        )
