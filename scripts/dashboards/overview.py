"""The hub on one page: the plan's eight panels, and how the bus is."""

from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.alerting import FAILED, LEFT, NO_PROBES
from scripts.dashboards.layout import Board, Panel, Query, Section, each, total
from scripts.dashboards.promql import Gauge, Matchers

_OF: Final = {"service": "~$service"}
_ALL: Final = {**NO_PROBES, **_OF}
_BAD: Final = {**FAILED, **_OF}
_EDGE: Final = {"service": "gateway"}  # what callers see: a forwarded request counts once, and takes what it took them
_SIX: Final = ((0, "red"), (6, "green"))  # one that is missing is a critical alert
CIRCUIT_STATES: Final = ((0, "closed", "green"), (1, "half-open", "orange"), (2, "open", "red"))


def overview() -> Board:
    return Board(
        uid="cortex-overview",
        title="Cortex Hub overview",
        description="How the hub is: traffic, errors, latency, orders, circuits, sockets, memory and CPU.",
        sections=[
            Section("Now", _now()),
            Section("Traffic", _traffic()),
            Section("Orders and people", _orders()),
            Section("Processes", _processes()),
            Section("The bus", _bus()),
        ],
    )


def _everywhere(figure: Gauge) -> str:
    """How many services have it at 1 in some replica of each hub."""
    return f"count(min by (service) ({figure.over('max', ('namespace', 'service'))}) == 1)"


def _share(of: Matchers) -> str:
    return f"{f.REQUESTS.rate((), {**of, **_EDGE})} / {f.REQUESTS.rate((), {**NO_PROBES, **_EDGE})}"


def _now() -> list[Panel]:
    def figure(
        title: str, description: str, unit: str, query: Query, *steps: tuple[float, str], decimals: int | None = None
    ) -> Panel:
        return Panel(title, description, unit, [query], "stat", 3, 4, steps, decimals=decimals)

    return [
        Panel(
            "Services up",
            "Services of which at least one replica answers (CortexServiceDown), in every namespace that is chosen;"
            " six is all.",
            "none",
            [Query(_everywhere(f.UP), "up", "vector(0)")],
            "stat",
            3,
            4,
            _SIX,
        ),
        Panel(
            "Services ready",
            "Services of which at least one replica takes work (CortexServiceNotReady), in every namespace that is"
            " chosen; six is all.",
            "none",
            [Query(_everywhere(f.READY), "ready", "vector(0)")],
            "stat",
            3,
            4,
            _SIX,
        ),
        figure(
            "Requests",
            "What the gateway answers a second, probes aside.",
            "reqps",
            total(f.REQUESTS.rate((), {**NO_PROBES, **_EDGE}), "requests"),
        ),
        figure(
            "Errors",
            "Share of the gateway's answers with status 5xx.",
            "percentunit",
            total(f"({_share(FAILED)}) >= 0", "errors", "0/0 while nobody asks, and no 5xx yet"),
            (0.01, "orange"),
            (0.05, "red"),
            decimals=2,
        ),
        figure(
            "p99",
            "Ninety-nine of a hundred requests to the gateway are answered within.",
            "s",
            total(f"{f.SECONDS.quantile(0.99, (), {**NO_PROBES, **_EDGE})} >= 0", "p99"),
            (1, "orange"),
            (5, "red"),
        ),
        figure("Active orders", "Created and not ended.", "none", Query(f.ACTIVE_ORDERS.alike(), "active")),
        figure(
            "Circuits open",
            "Callees that are refused at once, or are being probed. One that nobody has called since stays here.",
            "none",
            total(
                f"count({f.CIRCUIT.over('max', ('namespace', 'service', 'name'))} > 0)",
                "open",
                "every circuit is closed",
            ),
            (1, "red"),
        ),
        figure(
            "Dead letters",
            "Events that a group could not take.",
            "none",
            Query(f"sum({f.DEAD_LETTERS.over('max', ('namespace', 'group'))})", "waiting"),
            (1, "red"),
        ),
    ]


def _traffic() -> list[Panel]:
    quantiles = [
        Query(f.SECONDS.quantile(quantile, (), {**NO_PROBES, **_EDGE}), f"p{round(quantile * 100)}")
        for quantile in (0.5, 0.95, 0.99)
    ]
    return [
        Panel(
            "Request rate",
            "Requests answered a second by each service, probes and scrapes aside. A request through the gateway counts"
            " there and at the service that answered it.",
            "reqps",
            [Query(f.REQUESTS.rate(("service",), _ALL), "{{service}}")],
            to_service=True,
        ),
        Panel(
            "Error rate",
            "Share of answers with status 5xx; and of the gateway's callers who left before an answer began"
            " (CortexCallersGiveUp). The dashed lines are where somebody should look, and where somebody is woken"
            " (CortexErrorRateHigh).",
            "percentunit",
            [
                each(
                    f"{f.REQUESTS.rate(('service',), _BAD)} / on (service) {f.REQUESTS.rate(('service',), _ALL)}",
                    "{{service}}",
                    "service",
                    "no service has answered 5xx",
                ),
                total(f"({_share(LEFT)}) >= 0", "gateway: callers left"),
            ],
            steps=[(0.01, "orange"), (0.05, "red")],
            to_service=True,
        ),
        Panel(
            "Latency",
            "Half, 95 and 99 of a hundred requests to the gateway are answered within: what callers see. Resolved to"
            " the buckets of the histogram: 5 ms to 10 s.",
            "s",
            quantiles,
        ),
        Panel(
            "p99 by service",
            "Which service the slow ones are of.",
            "s",
            [Query(f.SECONDS.quantile(0.99, ("service",), _ALL), "{{service}}")],
            to_service=True,
        ),
    ]


def _orders() -> list[Panel]:
    return [
        Panel(
            "Active orders",
            "Created and neither completed, failed nor cancelled. Every replica of analytics tells the same figure.",
            "none",
            [Query(f.ACTIVE_ORDERS.alike(), "active")],
            width=8,
        ),
        Panel(
            "Orders created and ended",
            "A second, by outcome. Created above ended for long: active orders pile up.",
            "cps",
            [
                Query(f.ORDERS_CREATED.alike(), "created"),
                Query(f.ORDERS_ENDED.alike(("outcome",)), "{{outcome}}"),
            ],
            width=8,
        ),
        Panel(
            "WebSocket connections",
            "Clients of the notification service, by replica.",
            "none",
            [Query(f.SOCKETS.over("sum", ("instance",)), "{{instance}}")],
            look="stacked",
            width=8,
        ),
        Panel(
            "Circuit breakers",
            "What each service thinks of those it calls: closed lets calls through, open refuses them at once,"
            " half-open lets one try.",
            "none",
            [Query(f.CIRCUIT.over("max", ("service", "name"), _OF), "{{service}} → {{name}}")],
            "states",
            24,
            7,
            states=CIRCUIT_STATES,
        ),
    ]


def _processes() -> list[Panel]:
    return [
        Panel(
            "Memory",
            "Resident memory of each service, all replicas together.",
            "bytes",
            [Query(f.MEMORY.over("sum", ("service",), _OF), "{{service}}")],
            to_service=True,
        ),
        Panel(
            "CPU",
            "Cores in use by each service, all replicas together: 100 % is one core.",
            "percentunit",
            [Query(f.CPU.rate(("service",), _OF), "{{service}}")],
            to_service=True,
        ),
    ]


def _bus() -> list[Panel]:
    return [
        Panel(
            "Lag",
            "Age of the oldest event that a group has not acknowledged.",
            "s",
            [Query(f.LAG_SECONDS.over("max", ("group", "topic")), "{{group}} on {{topic}}")],
            width=8,
            steps=[(60, "red")],
        ),
        Panel(
            "Outbox",
            "Age of the oldest event that waits for the bus.",
            "s",
            [Query(f.OUTBOX_AGE.over("max", ("service",)), "{{service}}")],
            width=8,
            steps=[(30, "red")],
        ),
        Panel(
            "Deliveries gone wrong",
            "A second, by group and how they ended: tried again, dead, failed.",
            "cps",
            [
                each(
                    f.DELIVERIES.rate(("service", "outcome"), {"outcome": "!delivered"}),
                    "{{service}} {{outcome}}",
                    "outcome",
                    "every delivery went well",
                )
            ],
            width=8,
        ),
    ]
