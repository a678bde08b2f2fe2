"""What every service's board has: its traffic, its calls to others, its part in the bus, its processes."""

from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.alerting import FAILED, NO_PROBES
from scripts.dashboards.layout import Panel, Query, Section, each, total
from scripts.dashboards.overview import CIRCUIT_STATES
from scripts.dashboards.promql import Matchers

_ROUTE: Final = "{{method}} {{route}}"


def of(service: str, also: Matchers | None = None) -> Matchers:
    """Its series, of the chosen replicas."""
    return {"service": service, "instance": "~$instance", **(also or {})}


def traffic(service: str) -> Section:
    """What it is asked by HTTP, and how it answers."""
    everything, bad = of(service, NO_PROBES), of(service, FAILED)
    share = f"{f.REQUESTS.rate((), bad)} / {f.REQUESTS.rate((), everything)}"
    return Section(
        "Traffic",
        [
            _now(
                "Ready",
                "Replicas that take work. At 0 somebody is woken (CortexServiceNotReady).",
                "none",
                Query(f"sum({f.READY.where(of(service))})", "ready", "vector(0)"),
                (0, "red"),
                (1, "green"),
            ),
            _now("Requests", "Answered a second.", "reqps", total(f.REQUESTS.rate((), everything), "requests")),
            _now(
                "Errors",
                "Share of answers with status 5xx.",
                "percentunit",
                total(f"({share}) >= 0", "errors", "no request has ended with 5xx"),
                (0.01, "orange"),
                (0.05, "red"),
            ),
            _now(
                "p99",
                "Ninety-nine of a hundred requests are answered within.",
                "s",
                total(f"{f.SECONDS.quantile(0.99, (), everything)} >= 0", "p99"),
                (1, "orange"),
                (5, "red"),
            ),
            _now(
                "Running for",
                "Since its youngest replica started.",
                "dtdurations",
                Query(f"time() - max({f.STARTED.where(of(service))})", "youngest"),
            ),
            _now(
                "Circuits open",
                "Callees of this service that are refused, or being probed. One that nobody has called since stays"
                " here.",
                "none",
                total(
                    f"count({f.CIRCUIT.over('max', ('namespace', 'name'), of(service))} > 0)",
                    "open",
                    "every circuit is closed",
                ),
                (1, "red"),
            ),
            Panel(
                "Requests by route",
                "Answered a second, probes and scrapes aside.",
                "reqps",
                [each(f.REQUESTS.rate(("method", "route"), everything), _ROUTE, "route")],
            ),
            Panel(
                "Latency",
                "Half, 95 and 99 of a hundred requests are answered within.",
                "s",
                [
                    Query(f.SECONDS.quantile(part, (), everything), f"p{round(part * 100)}")
                    for part in (0.5, 0.95, 0.99)
                ],
            ),
            Panel(
                "Errors by route",
                "Answers with status 5xx a second.",
                "reqps",
                [
                    each(
                        f.REQUESTS.rate(("method", "route", "status"), bad),
                        f"{_ROUTE} {{{{status}}}}",
                        "route",
                        "no request has ended with 5xx",
                    )
                ],
                width=8,
            ),
            Panel(
                "Refusals",
                "Answers with status 4xx a second (499: the caller left before one began), and what the server's guards"
                " refused before any application: bad requests, sockets that said nothing for too long.",
                "reqps",
                [
                    each(
                        f.REQUESTS.rate(("status",), of(service, {**NO_PROBES, "status": "~4.."})),
                        "{{status}}",
                        "status",
                        "nobody has asked for what there is not",
                    ),
                    each(
                        f.REFUSED.rate(("reason",), of(service)),
                        "{{reason}}",
                        "reason",
                        "every connection has kept to the protocol",
                    ),
                ],
                width=8,
            ),
            Panel(
                "p99 by route",
                "Which route the slow requests are of.",
                "s",
                [each(f.SECONDS.quantile(0.99, ("route",), everything), "{{route}}", "route")],
                width=8,
            ),
        ],
    )


def calls(service: str) -> Section:
    """Its circuits, and what resilience did."""
    return Section(
        "Calls to others",
        [
            Panel(
                "Circuit breakers",
                "What it thinks of those it calls.",
                "none",
                [
                    each(
                        f.CIRCUIT.over("max", ("name",), of(service)),
                        "{{name}}",
                        "name",
                        "it has called nobody yet" if service not in {"gateway", "order"} else "",
                    )
                ],
                "states",
                states=CIRCUIT_STATES,
            ),
            Panel(
                "Helped along",
                "A second: attempts after a first one, calls given up for time, calls refused by an open circuit or a"
                " full bulkhead, errors that no retry could heal.",
                "cps",
                [
                    each(
                        f.RETRIES.rate(("name",), of(service)),
                        "{{name}}: tried again",
                        "name",
                        "no call had to be tried again",
                    ),
                    each(f.TIMEOUTS.rate(("name",), of(service)), "{{name}}: out of time", "name", "no call ran out"),
                    each(
                        f.CIRCUIT_REJECTIONS.rate(("name",), of(service)),
                        "{{name}}: circuit open",
                        "name",
                        "no open circuit has refused a call",
                    ),
                    each(
                        f.TURNED_AWAY.rate(("name",), of(service)), "{{name}}: no place", "name", "no bulkhead was full"
                    ),
                    each(
                        f.GIVEN_UP.rate(("name",), of(service)), "{{name}}: given up", "name", "no retry was given up"
                    ),
                ],
            ),
        ],
    )


def bus(service: str, *, hears: bool) -> Section:
    """What it takes from the bus, where it subscribes to anything, and whether the bus is there."""
    deliveries = Panel(
        "Deliveries",
        "Events handled a second, by topic and how that ended.",
        "cps",
        [Query(f.DELIVERIES.rate(("topic", "outcome"), of(service)), "{{topic}} {{outcome}}")],
    )
    trouble = Panel(
        "Trouble",
        "A second: loops of the bus that had to start over, events that fan-out missed and took from the stream, logs"
        " under strain.",
        "cps",
        [
            Query(f.BUS_ERRORS.rate((), of(service)), "started over"),
            total(f.GAP_EVENTS.rate((), of(service)), "from the stream", "fan-out has missed nothing"),
            total(f.STRAINS.rate((), of(service)), "strained", "no log has lost anything"),
        ],
        width=12 if hears else 24,
    )
    return Section("The bus", [deliveries, trouble] if hears else [trouble])


def relay(service: str) -> Section:
    """Of a service with a store of its own: from its outbox to the bus."""
    return Section(
        "Outbox",
        [
            Panel(
                "Waiting for the bus",
                "Messages that the relay has not published yet.",
                "none",
                [Query(f.OUTBOX_PENDING.alike((), of(service)), "messages")],
                width=8,
            ),
            Panel(
                "Oldest",
                "How long the first of them has waited (CortexOutboxStuck).",
                "s",
                [Query(f.OUTBOX_AGE.over("max", (), of(service)), "oldest")],
                width=8,
                steps=[(30, "red")],
            ),
            Panel(
                "Published",
                "Messages a second that reached the bus; rounds that failed, and losses of the bus that were found.",
                "cps",
                [
                    Query(f.RELAYED.rate((), of(service)), "published"),
                    total(f.RELAY_ERRORS.rate((), of(service)), "failed rounds", "every round went well"),
                    Query(f.RELAY_LOSSES.rate((), of(service)), "losses found"),
                ],
                width=8,
            ),
        ],
    )


def processes(service: str) -> Section:
    return Section(
        "Processes",
        [
            Panel(
                "Memory",
                "Resident memory of each replica, all its processes together.",
                "bytes",
                [Query(f.MEMORY.over("sum", ("instance",), of(service)), "{{instance}}")],
                width=8,
            ),
            Panel(
                "CPU",
                "Cores in use by each replica: 100 % is one core.",
                "percentunit",
                [Query(f.CPU.rate(("instance",), of(service)), "{{instance}}")],
                width=8,
            ),
            Panel(
                "Open descriptors",
                "Sockets and files, as a share of what a process may have: of several workers, the one with the largest"
                " (CortexDescriptorsShort).",
                "percentunit",
                [Query(f"{f.OPEN_FDS.where(of(service))} / {f.MAX_FDS.where(of(service))}", "{{instance}}")],
                width=8,
                steps=[(0.8, "red")],
                maximum=1,
            ),
        ],
    )


def _now(title: str, description: str, unit: str, query: Query, *steps: tuple[float, str]) -> Panel:
    return Panel(title, description, unit, [query], "stat", 4, 4, steps)
