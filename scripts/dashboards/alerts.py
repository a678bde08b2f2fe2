"""The alert rules: what wakes somebody (critical), what waits for the morning (warning), and the page that says why.

Thresholds are for a hub at work, not for a benchmark: each holds for a while before it counts.
"""

from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.alerting import EXAMPLE, Alert, Example, Series, by, job_label, series
from scripts.dashboards.alerts_of_events import ALERTS_OF_EVENTS
from scripts.dashboards.alerts_of_traffic import ALERTS_OF_TRAFFIC
from scripts.dashboards.inventory import SERVICES

_HERE: Final = {"service": "order", "instance": EXAMPLE, **job_label()}


def _down(service: str) -> tuple[str, dict[str, str]]:
    return f"absent({f.UP.where({'service': service})} == 1)", {"service": service}


def _others_up() -> list[Series]:
    return [series(f.UP, "1x20", service=service) for service in SERVICES if service != "order"]


SERVICE_DOWN: Final = Alert(
    "CortexServiceDown",
    [_down(service) for service in SERVICES],
    "1m",
    "critical",
    "No replica of {{ $labels.service }} answers",
    "Prometheus has reached no replica of the service for a minute: none runs, none of them answers `/metrics`, or"
    " the network between is closed. The gateway answers its routes with 502 or 503 problems.",
    "Look whether its containers run and what they said last: `docker compose ps`, `docker compose logs order`, or"
    " `kubectl get pods` and `kubectl logs`. A service that ends at once says in one line which setting is wrong."
    " One that runs and does not take work is not seen here: that is CortexServiceNotReady.",
    fires=Example(
        [*_others_up(), series(f.UP, "1x5 0x15", service="order")],
        10,
        {"service": "order"},
    ),
    silent=Example(
        [*_others_up(), series(f.UP, "0x20", service="order"), series(f.UP, "1x20", service="order", instance="other")],
        15,
    ),
)

REPLICA_DOWN: Final = Alert(
    "CortexReplicaDown",
    [(f"{f.UP.where()} == 0", {})],
    "5m",
    "warning",
    "The replica {{ $labels.instance }} of {{ $labels.service }} does not answer",
    "Prometheus knows of this replica and could not scrape it for five minutes, while others may serve. It hangs, it is"
    " overloaded, or its address is a dead one.",
    "Ask it for `/health/live`. A process that does not answer that within its probe's timeout is restarted by"
    " Kubernetes; with Compose `docker compose restart` does it. Its last lines tell what it was busy with.",
    fires=Example([series(f.UP, "1x2 0x20", service="order")], 15, _HERE),
    silent=Example([series(f.UP, "1x2 0 1x20", service="order")], 15),
)

SERVICE_NOT_READY: Final = Alert(
    "CortexServiceNotReady",
    [(f"{f.READY.over('max', by('service'))} == 0", {})],
    "2m",
    "critical",
    "No replica of {{ $labels.service }} takes work",
    "Its replicas run and are scraped, and each says of itself that something it cannot do without is away: the"
    " database, tables that are not there yet, for some the bus. Its routes answer 503.",
    "`/health/ready` names the check that is down, and why. A service that waits since its start says the same in a"
    " line `not ready`, with the setting it hangs on. What comes back is noticed within a second; nothing has to be"
    " restarted.",
    fires=Example(
        [series(f.READY, "1x3 0x20", service="order"), series(f.READY, "1x20", service="storage")],
        10,
        {"service": "order"},
    ),
    silent=Example(
        [
            series(f.READY, "0x20", service="order"),
            series(f.READY, "1x20", service="order", instance="other"),
            series(f.READY, "1x5 0 1x20", service="storage"),
        ],
        10,
    ),
    also=(
        Example(
            [
                series(f.READY, "0x20", service="order", namespace="prod"),
                series(f.READY, "1x20", service="order", namespace="staging"),
            ],
            10,
            {"service": "order", "namespace": "prod"},
        ),
    ),
)

REPLICA_NOT_READY: Final = Alert(
    "CortexReplicaNotReady",
    [(f"{f.READY.where()} == 0", {})],
    "5m",
    "warning",
    "The replica {{ $labels.instance }} of {{ $labels.service }} runs and takes no work",
    "It has said for five minutes that something it cannot do without is away, while others may serve.",
    "As for CortexServiceNotReady, with this replica's `/health/ready`. Where only one says so, look for what it has of"
    " its own: its node's network, its volume, the settings of a roll-out under way.",
    fires=Example([series(f.READY, "1x2 0x20", service="order")], 15, _HERE),
    silent=Example([series(f.READY, "0x3 1x20", service="order")], 15),
)

RESTARTING: Final = Alert(
    "CortexRestarting",
    [(f"changes({f.STARTED.where()}[15m]) > 2 or increase({f.WORKER_DEATHS.where()}[15m]) > 2.5", {})],
    "0m",
    "warning",
    "{{ $labels.service }} at {{ $labels.instance }} has started anew, or lost a worker, more than twice within 15"
    " minutes",
    "The process, or with `--workers` one of several, ends and is started again. Requests in progress fail each time."
    " Only starts that live to be scraped (15 s) are seen: what ends at once is CortexServiceDown or CortexReplicaDown,"
    " and `CrashLoopBackOff` on Kubernetes.",
    "The line before each end names the reason: a setting (exit status 78), something it needs (69), memory (137 is"
    " SIGKILL: raise the limit or find what fills it).",
    fires=Example([series(f.STARTED, "100x3 200x3 300x3 400x5", service="order")], 14, _HERE),
    silent=Example(
        [series(f.STARTED, "100x6 200x9", service="order"), series(f.WORKER_DEATHS, "0x6 1x3 2x9", service="order")],
        14,
    ),
    also=(
        Example(
            [
                series(f.STARTED, "100x20", service="order"),
                series(f.WORKER_DEATHS, "0x3 1x3 2x3 3x9", service="order"),
            ],
            14,
            _HERE,
        ),
    ),
)

LIMIT_ALONE: Final = Alert(
    "CortexRateLimitAlone",
    [(f"{f.LIMIT_OUTAGE.over('max', by('service'))} == 1", {})],
    "5m",
    "warning",
    "Replicas of {{ $labels.service }} limit callers each by itself",
    "The shared counts in Redis cannot be reached, so each replica counts alone: a caller gets up to as many times the"
    " limit as there are replicas. Nobody is locked out.",
    "The same as for CortexBusTrouble: Redis.",
    fires=Example([series(f.LIMIT_OUTAGE, "0x2 1x20", service="gateway")], 10, {"service": "gateway"}),
    silent=Example([series(f.LIMIT_OUTAGE, "0x2 1x2 0x20", service="gateway")], 10),
)

DESCRIPTORS: Final = Alert(
    "CortexDescriptorsShort",
    [(f"{f.OPEN_FDS.where()} / {f.MAX_FDS.where()} > 0.8", {})],
    "5m",
    "warning",
    "{{ $labels.service }} at {{ $labels.instance }} has {{ $value | humanizePercentage }} of its descriptors open",
    "Each connection is a descriptor. At the limit new ones are refused. With `--workers` the figures are those of the"
    " process that is nearest to its limit.",
    "Many sockets: more replicas, or a higher limit (`ulimits.nofile` in Compose). A figure that only grows under even"
    " load is a leak: restart the replica, and keep its log.",
    fires=Example(
        [series(f.OPEN_FDS, "900x20", service="order"), series(f.MAX_FDS, "1000x20", service="order")],
        10,
        _HERE,
        "90%",
    ),
    silent=Example([series(f.OPEN_FDS, "700x20", service="order"), series(f.MAX_FDS, "1000x20", service="order")], 10),
)

ALERTS: Final = (
    SERVICE_DOWN,
    REPLICA_DOWN,
    SERVICE_NOT_READY,
    REPLICA_NOT_READY,
    RESTARTING,
    *ALERTS_OF_TRAFFIC,
    *ALERTS_OF_EVENTS,
    LIMIT_ALONE,
    DESCRIPTORS,
)
