"""The alerts about traffic: what callers are answered, how soon, and whether anybody is called at all. With the
recordings that they read, which are dashboards' to read, too."""

from typing import Final

from scripts.dashboards import figures as f
from scripts.dashboards.alerting import (
    FAILED,
    LEFT,
    NO_PROBES,
    WINDOW,
    Alert,
    Example,
    Recording,
    by,
    job_label,
    series,
)

QUICK, SLOW = "order|notification|analytics", "gateway|storage|compute"  # the latter carry files and images

_OF_SERVICE: Final = ("job", *by("service"))  # `job`: so that a recording is chosen as a figure is
_BY_SERVICE: Final = frozenset(_OF_SERVICE)
RATE: Final = Recording(
    "service:cortex_hub_http_requests:rate5m", f.REQUESTS.rate(_OF_SERVICE, NO_PROBES, WINDOW), _BY_SERVICE
)
ERRORS: Final = Recording(
    "service:cortex_hub_http_errors:ratio_rate5m",
    f"{f.REQUESTS.rate(_OF_SERVICE, FAILED, WINDOW)} / {RATE.where()}",
    _BY_SERVICE,
)
P99: Final = Recording(
    "service:cortex_hub_http_request_duration_seconds:p99_rate5m",
    f.SECONDS.quantile(0.99, _OF_SERVICE, NO_PROBES, WINDOW),
    _BY_SERVICE,
)
GIVEN_UP: Final = Recording(
    "service:cortex_hub_http_given_up:ratio_rate5m",
    f"{f.REQUESTS.rate(_OF_SERVICE, LEFT, WINDOW)} / {RATE.where()}",
    _BY_SERVICE,
)
RECORDINGS: Final = (RATE, ERRORS, GIVEN_UP, P99)

_ORDERS: Final = {"service": "order", "method": "POST", "route": "/orders"}
_FILES: Final = {"service": "storage", "method": "POST", "route": "/files"}
_EVERY_FOURTH: Final = " ".join(f"{number}x3" for number in range(10))

ERROR_RATE: Final = Alert(
    "CortexErrorRateHigh",
    [(f"{ERRORS.where()} > 0.05 and {RATE.where()} > 0.1", {})],
    "5m",
    "critical",
    "{{ $value | humanizePercentage }} of the answers of {{ $labels.service }} are errors",
    "More than one answer in twenty is a 5xx, at more than six requests a minute. At the gateway that includes what its"
    " services fail at; not whom they kept waiting until he left, which is CortexCallersGiveUp.",
    "The panel *Errors by route* of the service's dashboard names the route; its lines at level `error` hold the trace"
    " ids. Is it the gateway alone, look at *Circuit breakers* first: one service behind it is the reason.",
    fires=Example(
        [
            series(f.REQUESTS, "0+60x30", status="201", **_ORDERS),
            series(f.REQUESTS, "0+20x30", status="500", **_ORDERS),
        ],
        20,
        {"service": "order", **job_label()},
        "25%",
    ),
    silent=Example(
        [series(f.REQUESTS, "0+60x30", status="201", **_ORDERS), series(f.REQUESTS, "0+2x30", status="500", **_ORDERS)],
        20,
    ),
    also=(
        Example(
            [
                series(f.REQUESTS, "0+20x30", status="500", namespace="prod", **_ORDERS),
                series(f.REQUESTS, "0+6000x30", status="201", namespace="staging", **_ORDERS),
            ],
            20,
            {"service": "order", "namespace": "prod", **job_label()},
            "100%",
        ),
    ),
)

_EDGE: Final = {"service": "gateway", "method": "GET", "route": "/api/orders"}
CALLERS_GIVE_UP: Final = Alert(
    "CortexCallersGiveUp",
    [(f"{GIVEN_UP.where(service='gateway')} > 0.2 and {RATE.where(service='gateway')} > 0.1", {})],
    "5m",
    "critical",
    "{{ $value | humanizePercentage }} of the gateway's callers leave before they are answered",
    "More than one request in five ended with its caller's going before an answer began (status 499, which no caller"
    " sees), at more than six requests a minute. A service hangs, and those who ask have less patience than the"
    " gateway: nobody knows how they would have been answered, so that this is in no error rate and opens no circuit.",
    "*Refusals* of the gateway's board has the 499s, *Under way to services* the service that is kept waiting for, and"
    " *p99 by route* the route. Look there for what it waits for itself: a lock, a full pool, its database. Where every"
    " service is well it is the callers: one with a timeout of milliseconds, or a page that asks and is left.",
    fires=Example(
        [
            series(f.REQUESTS, "0+20x30", status="499", **_EDGE),
            series(f.REQUESTS, "0+20x30", status="200", **_EDGE),
        ],
        20,
        {"service": "gateway", **job_label()},
        "50%",
    ),
    silent=Example(
        [series(f.REQUESTS, "0+5x30", status="499", **_EDGE), series(f.REQUESTS, "0+60x30", status="200", **_EDGE)],
        20,
    ),
    nor=(Example([series(f.REQUESTS, "0+2x30", status="499", **_EDGE)], 20),),
)

LATENCY: Final = Alert(
    "CortexLatencyHigh",
    [(f"({P99.where(service=QUICK)} > 1 or {P99.where(service=SLOW)} > 5) and {RATE.where()} > 0.3", {})],
    "10m",
    "warning",
    "One in a hundred requests to {{ $labels.service }} takes {{ $value | humanizeDuration }} or longer",
    "The 99th percentile has been above a second for ten minutes (above five where files and images pass: gateway,"
    " storage, compute), at more than eighteen requests a minute: of fewer than a hundred within the five minutes that"
    " are looked at, the slowest alone would be that percentile.",
    "Compare *p99 by route* with CPU and with the services called: a slow callee shows in both. Full CPU asks for more"
    " replicas; a full pool of upstream connections shows as requests under way that do not fall.",
    fires=Example(
        [
            series(f.REQUESTS, "0+60x30", status="201", **_ORDERS),
            series(f.SECONDS.bucket, "0+10x30", status="201", le="1.0", **_ORDERS),
            series(f.SECONDS.bucket, "0+60x30", status="201", le="2.5", **_ORDERS),
            series(f.SECONDS.bucket, "0+60x30", status="201", le="+Inf", **_ORDERS),
        ],
        25,
        {"service": "order", **job_label()},
        "2.482s",
    ),
    silent=Example(
        [
            series(f.REQUESTS, "0+60x30", status="201", **_ORDERS),
            series(f.SECONDS.bucket, "0+60x30", status="201", le="0.5", **_ORDERS),
            series(f.SECONDS.bucket, "0+60x30", status="201", le="+Inf", **_ORDERS),
        ],
        25,
    ),
    nor=(
        Example(  # one upload on a slow line every four minutes
            [
                series(f.REQUESTS, _EVERY_FOURTH, status="201", **_FILES),
                series(f.SECONDS.bucket, "0x40", status="201", le="5.0", **_FILES),
                series(f.SECONDS.bucket, _EVERY_FOURTH, status="201", le="10.0", **_FILES),
                series(f.SECONDS.bucket, _EVERY_FOURTH, status="201", le="+Inf", **_FILES),
            ],
            30,
        ),
    ),
)

_COMPUTE: Final = {"service": "gateway", "name": "compute"}
_CALLEE: Final = by("service", "name")
_OPEN: Final = f"max {f.CIRCUIT.by(_CALLEE)} (max_over_time({f.CIRCUIT.where()}[1m]))"
_REFUSED: Final = f.CIRCUIT_REJECTIONS.increase(_CALLEE, window="2m")
_REOPENED: Final = f.CIRCUIT_CHANGES.increase(_CALLEE, {"state": "open"}, "2m")
CIRCUIT_OPEN: Final = Alert(
    "CortexCircuitOpen",
    [(f"{_OPEN} == 2 and ({_REFUSED} > 0 or {_REOPENED} > 0)", {})],
    "3m",  # longer than what is looked at: one burst of calls, and nobody after it, is no news
    "warning",
    "The circuit of {{ $labels.service }} to {{ $labels.name }} stays open",
    "Calls to the named callee are refused at once, because too many of them had failed; about once a second one of"
    " them is let through to see whether it is well again. Three minutes of that are no hiccup.",
    "Look at the callee, not at the caller: is it down (CortexServiceDown), slow or answering 5xx? The circuit closes"
    " by itself when a call that was let through succeeds. Without calls nobody finds out: it stays open on the boards,"
    " refuses nobody, and the alert is silent.",
    fires=Example(
        [
            series(f.CIRCUIT, "0x3 2 1 2 2 1 2 2 2", **_COMPUTE),
            series(f.CIRCUIT_REJECTIONS, "_x4 40+40x6", **_COMPUTE),
        ],
        9,
        _COMPUTE,
    ),
    silent=Example(
        [
            series(f.CIRCUIT, "0x3 2 1 0x9", **_COMPUTE),
            series(f.CIRCUIT_REJECTIONS, "0x3 40x9", **_COMPUTE),
        ],
        9,
    ),
    also=(
        Example(  # so few callers that each is a probe
            [
                series(f.CIRCUIT, "0x3 2x20", **_COMPUTE),
                series(f.CIRCUIT_CHANGES, "_x4 1+1x20", state="open", cause="probes-failed", **_COMPUTE),
            ],
            12,
            _COMPUTE,
        ),
    ),
    nor=tuple(
        Example(  # nobody has called since, and so nobody knows that it is well again
            [
                series(f.CIRCUIT, "0x3 2x40", **_COMPUTE),
                series(f.CIRCUIT_REJECTIONS, "0x3 40x40", **_COMPUTE),
                series(f.CIRCUIT_CHANGES, "0x3 1x40", state="open", cause="failure-rate", **_COMPUTE),
            ],
            minute,
        )
        for minute in (6, 7, 8, 30)
    ),
)

ALERTS_OF_TRAFFIC: Final = (ERROR_RATE, CALLERS_GIVE_UP, LATENCY, CIRCUIT_OPEN)
