"""One line and two metrics a response."""

from dataclasses import replace
from typing import Any

import pytest

from cortex_core.asgi import ResponseDetails
from cortex_core.chassis.telemetry import RequestMetrics
from cortex_core.observability import MetricsCollector

DETAILS = ResponseDetails("GET", "/orders/ord_1", "/orders/{orderId}", 200, 0.25, 5, True)


class Lines:
    """Stands for a logger, and keeps what it is told by level."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.seen.append(("info", fields))

    def debug(self, event: str, **fields: Any) -> None:
        self.seen.append(("debug", fields))


@pytest.mark.parametrize("complete", [True, False])
def test_the_line_tells_a_body_that_broke_off(complete: bool) -> None:
    lines = Lines()

    RequestMetrics("order", MetricsCollector(), lines)(replace(DETAILS, complete=complete))  # type: ignore[arg-type]

    assert lines.seen[0][0] == "info"
    assert lines.seen[0][1]["complete"] == complete
    assert (lines.seen[0][1]["status"], lines.seen[0][1]["bytes"]) == (200, 5)
