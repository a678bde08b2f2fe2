"""What a connection's guards refused, as a metric and a line in the log. The hook of `HttpProtocol`."""

from typing import Final

from cortex_core.chassis.http_protocol.refusals import CODES, CUT, SILENT, RefusalDetails
from cortex_core.kernel import Context, use_context
from cortex_core.observability import Logger, MetricsCollector

_KNOWN: Final = frozenset({*CODES, *CUT})


class ConnectionReporter:
    """Implements `http_protocol.OnRefusal`."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._refused = metrics.create_counter(
            "cortex_hub_http_refused_total", "Requests and connections refused before any application", ("reason",)
        )

    def __call__(self, details: RefusalDetails, /) -> None:
        reason = details.reason if details.reason in _KNOWN else "internal"
        self._refused.labels(reason=reason).inc()
        write = self._logger.debug if reason == SILENT else self._logger.info  # browsers open some in advance
        with use_context(Context(request_id=details.request_id)):  # it belongs where every line has it
            write("refused", reason=reason, status=details.status, detail=details.detail, client=details.client)
