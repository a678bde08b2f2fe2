"""One board a service: what all of them have, and what only this one does."""

from collections.abc import Iterator
from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.edge import edge
from scripts.dashboards.layout import Board, Panel, Query, Section, each, total
from scripts.dashboards.overview import overview
from scripts.dashboards.sections import bus, calls, of, processes, relay, traffic

_ABOUT: Final = {
    "gateway": "The way in: routes, limits, caches and the services behind it.",
    "order": "Orders from their creation to their end, their payment, and the events that tell of them.",
    "notification": "Live events to clients on WebSockets.",
    "analytics": "Figures made of events.",
    "storage": "Files by their content, and the events that tell of them.",
    "compute": "Images through kernels in WebAssembly.",
}


def all_boards() -> Iterator[Board]:
    yield overview()
    for service, description in _ABOUT.items():
        sections = list(_sections(service))
        yield Board(f"cortex-{service}", f"Cortex Hub: {service}", description, sections, service)


def _sections(service: str) -> Iterator[Section]:
    hears = service in {"gateway", "notification", "analytics"}
    yield traffic(service)
    match service:
        case "gateway":
            yield edge()
            yield calls(service)
        case "order":
            yield _orders()
            yield relay(service)
            yield calls(service)
        case "notification":
            yield _sockets()
        case "analytics":
            yield _figures()
        case "storage":
            yield relay(service)
        case "compute":
            yield _images()
    yield bus(service, hears=hears)
    yield processes(service)


def _orders() -> Section:
    us = of("order")
    return Section(
        "Orders",
        [
            Panel(
                "Transitions",
                "Orders a second that became what they are.",
                "cps",
                [Query(f.TRANSITIONS.rate(("after",), us), "{{after}}")],
                width=8,
            ),
            Panel(
                "From creation to the end",
                "Half, and 95 of a hundred orders end within, by how they end.",
                "s",
                [
                    Query(f.CLOSED_SECONDS.quantile(0.5, ("status",), us), "p50 {{status}}"),
                    Query(f.CLOSED_SECONDS.quantile(0.95, ("status",), us), "p95 {{status}}"),
                ],
                width=8,
            ),
            Panel(
                "Put off and corrupt",
                "Orders whose processing failed here and is tried again, and reads of orders whose events make no sense"
                " (CortexOrdersCorrupt), a second.",
                "cps",
                [
                    each(f.PUT_OFF.rate(("code",), us), "{{code}}", "code", "no order was put off"),
                    Query(f.CORRUPT.rate((), us), "corrupt"),
                ],
                width=8,
            ),
            Panel(
                "Actors",
                "Orders in memory, and how many came a second; failures beside them.",
                "none",
                [
                    Query(f.ACTORS.over("sum", (), us), "in memory"),
                    Query(f.ACTOR_STARTS.rate((), us), "started a second"),
                    total(f.ACTOR_FAILURES.rate((), us), "failed a second", "no actor has failed"),
                ],
                width=8,
            ),
            Panel(
                "Projection lag",
                "Age of the oldest event that the list of orders did not have after its last round that went well;"
                " rounds that fail are in *Projected*.",
                "s",
                [Query(f.PROJECTION_SECONDS.over("max", ("projection",), us), "{{projection}}")],
                width=8,
                steps=[(60, "red")],
            ),
            Panel(
                "Projected",
                "Events applied a second, rounds that failed, and streams set aside (CortexProjectionStuck).",
                "cps",
                [
                    Query(f.PROJECTED.rate(("projection", "stage"), us), "{{projection}} {{stage}}"),
                    each(
                        f.PROJECTION_TROUBLES.rate(("projection", "code"), us),
                        "{{projection}} failed: {{code}}",
                        "projection",
                        "every round went well",
                    ),
                    Query(f.PROJECTION_PARKED.alike(("projection",), us), "{{projection}} set aside"),
                ],
                width=8,
            ),
        ],
    )


def _sockets() -> Section:
    us = of("notification")
    return Section(
        "WebSockets",
        [
            Panel(
                "Connections",
                "Clients here, by replica.",
                "none",
                [Query(f.SOCKETS.over("sum", ("instance",), us), "{{instance}}")],
                "stacked",
            ),
            Panel(
                "Ended",
                "A second, by who or what ended them: they left, were too slow, or the service drained.",
                "cps",
                [each(f.SOCKETS_CLOSED.rate(("code",), us), "{{code}}", "code", "nobody has gone")],
            ),
        ],
    )


def _figures() -> Section:
    us = of("analytics")
    group = {"service": "analytics", "group": "analytics"}
    took = f.PROCESSING.bucket.alike(("le",), us)
    return Section(
        "Orders as told by events",
        [
            Panel(
                "Active orders",
                "Created and not ended. Every replica tells the same.",
                "none",
                [Query(f.ACTIVE_ORDERS.alike((), us), "active")],
                width=8,
            ),
            Panel(
                "Ended",
                "A second, by outcome.",
                "cps",
                [Query(f.ORDERS_ENDED.alike(("outcome",), us), "{{outcome}}")],
                width=8,
            ),
            Panel(
                "Processing time",
                "Half, 95 and 99 of a hundred completed orders took no longer.",
                "s",
                [Query(f"histogram_quantile({part}, {took})", f"p{round(part * 100)}") for part in (0.5, 0.95, 0.99)],
                width=8,
            ),
            Panel(
                "Lag",
                "Age of the oldest event that analytics has not acknowledged (CortexBusLagging).",
                "s",
                [Query(f.LAG_SECONDS.over("max", ("topic",), group), "{{topic}}")],
                width=8,
                steps=[(60, "red")],
            ),
            Panel(
                "Entries behind",
                "Events that analytics has not acknowledged.",
                "none",
                [Query(f.LAG_ENTRIES.alike(("topic",), group), "{{topic}}")],
                width=8,
            ),
            Panel(
                "Dead letters",
                "Events that analytics could not take (CortexDeadLetters).",
                "none",
                [Query(f.DEAD_LETTERS.alike(("group",), group), "{{group}}")],
                width=8,
                steps=[(1, "red")],
            ),
        ],
    )


def _images() -> Section:
    us = of("compute")
    return Section(
        "Images",
        [
            Panel(
                "Processed",
                "Images a second, by operation.",
                "cps",
                [Query(f.IMAGES.count.rate(("operation",), us), "{{operation}}")],
                "stacked",
                8,
            ),
            Panel(
                "Time in a worker",
                "95 of a hundred images took no longer, by operation.",
                "s",
                [Query(f.IMAGES.quantile(0.95, ("operation",), us), "{{operation}}")],
                width=8,
            ),
            Panel(
                "Waiting",
                "Images that wait for a worker, by replica; events about images that were lost while the bus was away,"
                " a second.",
                "none",
                [
                    Query(f.IMAGE_QUEUE.over("sum", ("instance",), us), "{{instance}}"),
                    Query(f.IMAGE_EVENTS_LOST.rate((), us), "events lost"),
                ],
                width=8,
            ),
        ],
    )
