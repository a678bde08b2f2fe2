"""What only the gateway does: the section of its board."""

from scripts.dashboards import figures as f
from scripts.dashboards.layout import Panel, Query, Section, each
from scripts.dashboards.sections import of


def edge() -> Section:
    us = of("gateway")
    return Section(
        "The edge",
        [
            Panel(
                "Under way to services",
                "Requests that a service has and has not answered. One that only grows is stuck.",
                "none",
                [Query(f.UPSTREAM_OUTSTANDING.over("sum", ("upstream",), us), "{{upstream}}")],
                "stacked",
                8,
            ),
            Panel(
                "Connections to services",
                "Kept ones, idle and in use.",
                "none",
                [Query(f.UPSTREAM_CONNECTIONS.over("sum", ("upstream", "state"), us), "{{upstream}} {{state}}")],
                "stacked",
                8,
            ),
            Panel(
                "WebSockets",
                "Open ones, passed on to a service.",
                "none",
                [Query(f.GATEWAY_SOCKETS.over("sum", (), us), "open")],
                width=8,
            ),
            Panel(
                "Lanes",
                "Who answered: the express lane forwards by itself, the application has all middleware.",
                "reqps",
                [Query(f.LANES.rate(("lane",), us), "{{lane}}")],
                "stacked",
                8,
            ),
            Panel(
                "Rate limits",
                "Refusals a second, by policy. At 1 the replicas limit each by itself, because Redis is away"
                " (CortexRateLimitAlone).",
                "cps",
                [
                    each(f.LIMITED.rate(("policy",), us), "{{policy}}", "policy", "nobody was limited"),
                    Query(f.LIMIT_OUTAGE.over("max", (), us), "each by itself"),
                ],
                width=8,
            ),
            Panel(
                "Cache",
                "Answers a second by where they came from.",
                "cps",
                [Query(f.CACHED.rate(("outcome",), us), "{{outcome}}")],
                "stacked",
                8,
            ),
            Panel(
                "Replicas left out",
                "Times a replica failed so often that it was passed over for a while.",
                "cps",
                [Query(f.EJECTIONS.rate(("upstream",), us), "{{upstream}}")],
                width=8,
            ),
            Panel(
                "Compression",
                "Bytes a second of answers that were encoded, before and after.",
                "Bps",
                [
                    each(
                        f.COMPRESSED.rate(("coding", "side"), us),
                        "{{coding}} {{side}}",
                        "coding",
                        "nobody asked for an encoding",
                    )
                ],
            ),
            Panel(
                "Credentials",
                "Looked at a second, by method and what came of it.",
                "cps",
                [
                    each(
                        f.AUTH.rate(("method", "outcome"), us),
                        "{{method}} {{outcome}}",
                        "method",
                        "nobody said who he is",
                    ),
                    each(f.AUTH_FAILURES.rate(("reason",), us), "refused: {{reason}}", "reason", "none was refused"),
                ],
            ),
        ],
    )
