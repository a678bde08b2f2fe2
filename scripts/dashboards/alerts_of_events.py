"""The alerts about events: on the bus, on their way to it, and what is made of them."""

from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.alerting import WINDOW, Alert, Example, by, series

BUS_LAG: Final = Alert(
    "CortexBusLagging",
    [(f"{f.LAG_SECONDS.over('max', by('group', 'topic'))} > 60", {})],
    "5m",
    "warning",
    "{{ $labels.group }} is {{ $value | humanizeDuration }} behind on {{ $labels.topic }}",
    "The oldest event that the group has not acknowledged is more than a minute old: figures, notifications or caches"
    " show the past. While Redis is away nobody can see a lag, and none is told: that is CortexBusTrouble.",
    "Does the consumer run, and at full CPU? Then more replicas share the work. Does it retry one event again and"
    " again, its lines (`delivery went wrong`) say why. `hub events groups` ([commands.md](commands.md)) shows what"
    " waits and who holds it.",
    fires=Example(
        [series(f.LAG_SECONDS, "0x2 90+60x20", service="analytics", group="analytics", topic="order")],
        10,
        {"group": "analytics", "topic": "order"},
        "8m 30s",
    ),
    silent=Example([series(f.LAG_SECONDS, "0x2 90 0x20", service="analytics", group="analytics", topic="order")], 10),
)

DEAD_LETTER: Final = Alert(
    "CortexDeadLetters",
    [(f"{f.DEAD_LETTERS.over('max', by('group'))} > 0", {})],
    "1m",
    "warning",
    "{{ $value }} events that {{ $labels.group }} could not take wait for somebody",
    "Each was tried as often as retrying makes sense, or could not be read at all. Nothing is lost and nothing is done"
    " with them until somebody decides.",
    "`hub events dead-letters list analytics` ([commands.md](commands.md)) shows them with their errors. Mend the"
    " reason, then `hub events dead-letters replay analytics --all`; what will never be wanted goes with"
    " `hub events dead-letters drop analytics ENTRY`.",
    fires=Example(
        [series(f.DEAD_LETTERS, "0x2 3x10", service="analytics", group="analytics")], 6, {"group": "analytics"}, "3"
    ),
    silent=Example([series(f.DEAD_LETTERS, "0x12", service="analytics", group="analytics")], 6),
)

_LOOPS: Final = f.BUS_ERRORS.rate(by("service"), window=WINDOW)
_ROUNDS: Final = f.RELAY_ERRORS.rate(by("service"), {"stage": "~look|publish|repair"}, WINDOW)
BUS_TROUBLE: Final = Alert(
    "CortexBusTrouble",
    [(f"{_LOOPS} > 0.02 or {_ROUNDS} > 0.02", {})],
    "5m",
    "critical",
    "{{ $labels.service }} cannot use the bus",
    "Its loops of the bus begin anew again and again, or its relay's rounds fail (order and storage send"
    " events; each service hears at least of revoked keys): Redis is away, refuses the password, is loading its data,"
    " or is out of memory. Orders and files are accepted all the same; their events wait in the outbox.",
    "Is Redis there: `redis-cli ping`, its log, its memory? `/health/ready` of the service says what it was answered;"
    " [commands.md](commands.md) has how to ask both. Nothing needs to be repaired afterwards: what the bus lost is"
    " published again.",
    fires=Example(
        [
            series(f.BUS_ERRORS, "0x23", service="order"),
            series(f.RELAY_ERRORS, "0x3 0+12x20", service="order", stage="look"),
        ],
        15,
        {"service": "order"},
    ),
    silent=Example(
        [
            series(f.BUS_ERRORS, "0x3 2x20", service="analytics"),
            series(f.RELAY_ERRORS, "0+12x20", service="order", stage="mark"),
        ],
        15,
    ),
    also=(Example([series(f.BUS_ERRORS, "0x3 0+6x20", service="analytics")], 15, {"service": "analytics"}),),
)

OUTBOX: Final = Alert(
    "CortexOutboxStuck",
    [(f"{f.OUTBOX_AGE.over('max', by('service'))} > 30", {})],
    "2m",
    "critical",
    "Events of {{ $labels.service }} have waited {{ $value | humanizeDuration }} for the bus",
    "The relay publishes nothing, or nobody relays. What happened is safe in the database; the other services do not"
    " hear of it.",
    "With CortexBusTrouble beside it: Redis. Without: the `relay` check of `/health` says whether a replica leads, and"
    " lines with `relay waits` or `trouble with a lease` say why not. A dead leader is replaced within"
    " `CORTEX_LEASE_TTL` (3 s).",
    fires=Example([series(f.OUTBOX_AGE, "0 60+60x10", service="order")], 6, {"service": "order"}, "6m 0s"),
    silent=Example([series(f.OUTBOX_AGE, "0 60 0x10", service="order")], 6),
)

_ORDERS: Final = {"service": "order", "projection": "orders"}
_BEHIND: Final = f.PROJECTION_SECONDS.over("max", by("service", "projection"))
_PARKED: Final = f.PROJECTION_PARKED.over("max", by("service", "projection"))
_FAILING: Final = f.PROJECTION_TROUBLES.rate(by("service", "projection"), window=WINDOW)
PROJECTION: Final = Alert(
    "CortexProjectionStuck",
    [(f"{_BEHIND} > 60 or {_PARKED} > 0 or {_FAILING} > 0.02", {})],
    "5m",
    "warning",
    "The projection {{ $labels.projection }} of {{ $labels.service }} is behind, fails, or has set streams aside",
    "Lists and searches show the past, or leave out the orders whose events the projection could not apply. Reading one"
    " order by its id is not affected. Where its rounds fail (`cortex_projection_troubles_total`) its lag is as it was"
    " after the last one that went well: 0 is no comfort then.",
    "Where rounds fail, lines `projection in trouble` and the check `projection orders` of `/health` say why."
    " `hub projections status` ([commands.md](commands.md)) shows position and parked streams with their errors. After"
    " the reason is mended `hub projections rebuild orders` makes the list anew beside live traffic.",
    fires=Example(
        [series(f.PROJECTION_PARKED, "0x2 1x20", **_ORDERS)],
        10,
        _ORDERS,
    ),
    silent=Example(
        [
            series(f.PROJECTION_PARKED, "0x20", **_ORDERS),
            series(f.PROJECTION_SECONDS, "5x20", **_ORDERS),
            series(f.PROJECTION_TROUBLES, "0x3 2x17", code="error", **_ORDERS),
        ],
        10,
    ),
    also=(
        Example([series(f.PROJECTION_SECONDS, "0x2 70x20", **_ORDERS)], 10, _ORDERS),
        Example(
            [
                series(f.PROJECTION_SECONDS, "0x20", **_ORDERS),
                series(f.PROJECTION_TROUBLES, "_x2 4+24x20", code="error", **_ORDERS),
            ],
            10,
            _ORDERS,
        ),
    ),
)

CORRUPT_ORDERS: Final = Alert(
    "CortexOrdersCorrupt",
    [(f"{f.CORRUPT.increase(by('service'), window='15m')} > 0", {})],
    "0m",
    "critical",
    "Stored events of an order make no sense",
    "An order was read whose events contradict each other: somebody wrote to the table by hand, or a restored backup is"
    " not whole. The order is refused with a 500; others are served.",
    "Lines at level `error` name the order. Compare its rows with the last backup"
    " ([backup-and-restore.md](backup-and-restore.md)); do not edit events in place.",
    fires=Example([series(f.CORRUPT, "0x3 1x10", service="order")], 6, {"service": "order"}),
    silent=Example([series(f.CORRUPT, "1x13", service="order")], 6),
)

ALERTS_OF_EVENTS: Final = (BUS_LAG, DEAD_LETTER, BUS_TROUBLE, OUTBOX, PROJECTION, CORRUPT_ORDERS)
