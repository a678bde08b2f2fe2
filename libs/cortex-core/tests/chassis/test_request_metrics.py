"""One line and two metrics a response."""

import json
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from cortex_core.asgi import ResponseDetails
from cortex_core.chassis.telemetry import RequestMetrics
from cortex_core.kernel import Principal, TraceContext, use_context
from cortex_core.observability import Logger, MetricsCollector, configure_logging

DETAILS = ResponseDetails("GET", "/orders/ord_1", "/orders/{orderId}", 200, 0.25, 5, True)


class Lines:
    """Stands for a logger, and keeps what it is told by level."""

    def __init__(self, *, heard: bool = True) -> None:
        self.heard = heard
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def lines(self, level: str, event: str) -> Any:
        def write(members: str) -> None:
            self.seen.append((level, json.loads(f'{{"event":"{event}",{members}}}')))

        return SimpleNamespace(heard=self.heard, write=write)


@pytest.mark.parametrize("complete", [True, False])
def test_the_line_tells_a_body_that_broke_off(complete: bool) -> None:
    lines = Lines()

    RequestMetrics("order", MetricsCollector(), lines)(DETAILS._replace(complete=complete))  # type: ignore[arg-type]

    assert lines.seen[0][0] == "info"
    assert lines.seen[0][1]["complete"] == complete
    assert (lines.seen[0][1]["status"], lines.seen[0][1]["bytes"]) == (200, 5)


ODD = DETAILS._replace(path='/a/"\\\x00\n/é/\ud800/http://me:pw@host/Bearer abc', method="BR'EW", duration=0.1234567)
WHO: list[dict[str, Any]] = [
    {},
    {"tenant": "acme", "request_id": 'r"1'},
    {"trace": TraceContext.new(sampled=True), "principal": Principal('a"b Basic dXNlcjpwdw==', method="jwt")},
]


@pytest.mark.parametrize("details", [DETAILS, ODD, DETAILS._replace(path="/health/live", complete=False)])
@pytest.mark.parametrize("who", WHO)
def test_the_short_way_writes_the_line_that_the_usual_one_does(details: ResponseDetails, who: dict[str, Any]) -> None:
    stream = StringIO()
    configure_logging(service="order", level="debug", stream=stream)
    logger = Logger.get("order")
    try:
        with use_context(**who):
            RequestMetrics("order", MetricsCollector(), logger)(details)
            (logger.debug if "health" in details.path else logger.info)(
                "request",
                method=details.method,
                path=details.path,
                route=details.route,
                status=details.status,
                duration_ms=round(details.duration * 1000, 3),
                bytes=details.size,
                complete=details.complete,
            )
    finally:
        configure_logging(service="order")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    short, usual = [list(line.items())[1:] for line in lines if line["event"] == "request"]
    assert short == usual
    assert "pw@" not in stream.getvalue()
    assert "dXNl" not in stream.getvalue()


def test_a_line_that_nobody_hears_is_not_made() -> None:
    lines = Lines(heard=False)

    RequestMetrics("order", MetricsCollector(), lines)(DETAILS)  # type: ignore[arg-type]

    assert lines.seen == []


def test_requests_are_counted_by_method_route_and_status() -> None:
    metrics = MetricsCollector()
    tell = RequestMetrics("order", metrics, Lines())  # type: ignore[arg-type]

    for details in (DETAILS, DETAILS, DETAILS._replace(status=404), DETAILS._replace(method="BREW")):
        tell(details)

    def counted(method: str, status: int) -> float | None:
        labels = {"service": "order", "method": method, "route": "/orders/{orderId}", "status": status}
        return metrics.value("cortex_hub_http_requests_total", **labels)

    assert (counted("GET", 200), counted("GET", 404), counted("OTHER", 200)) == (2.0, 1.0, 1.0)


def test_methods_that_clients_make_up_do_not_fill_the_memory() -> None:
    tell = RequestMetrics("order", MetricsCollector(), Lines())  # type: ignore[arg-type]

    for number in range(3000):
        tell(DETAILS._replace(method=f"M{number}"))

    assert len(tell._kinds) <= 1024
