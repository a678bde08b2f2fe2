"""Telemetry on and off: spans and metrics of a service on our chassis, against OpenTelemetry's FastAPI instrumentation
with prometheus-fastapi-instrumentator."""

import json
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import wrk
from benchmarks.edge.collector import Collector
from benchmarks.machine import machine, versions
from benchmarks.processes import asgi, fetched, say
from benchmarks.programs.telemetry import ANSWER
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Ratio, contest, disturbance, shown

_PROGRAM: Final = "benchmarks.programs.telemetry"
_PATH: Final = "/orders/ord_1"
_NONE, _FEW, _ALL = 0.0, 0.01, 1.0
OURS_OFF, THEIRS_OFF = "ours off", "theirs off"
_SIDES: Final[Mapping[str, tuple[str, float]]] = {  # a side: its factory, how many of its traces are taken
    OURS_OFF: ("ours_off", _NONE),
    "ours, 1 % of traces": ("ours", _FEW),
    "ours, 1 % of traces, a line a request": ("ours_with_lines", _FEW),
    "ours, every trace": ("ours", _ALL),
    THEIRS_OFF: ("theirs_off", _NONE),
    "theirs, 1 % of traces": ("theirs", _FEW),
    "theirs, every trace": ("theirs", _ALL),
}
_DUELS: Final = (
    ("ours, 1 % of traces", "theirs, 1 % of traces"),
    ("ours, 1 % of traces, a line a request", "theirs, 1 % of traces"),
    ("ours, every trace", "theirs, every trace"),
)


_NOTES: Final = (
    """Ours: a server span, a counter and a histogram a request, on the chassis with all its middleware; off: the same
    service without these. Theirs: bare FastAPI, and FastAPI with the instrumentation (without its spans for `send` and
    `receive`) and the instrumentator. Same sampler, spans to a collector over OTLP/HTTP in batches.""",
    """Ours off already has request ids, trace context, security headers, limits of bodies, the rest of the chassis.""",
)


def run(plan: Plan) -> Section:
    with ExitStack() as stack:
        collectors = {name: stack.enter_context(Collector.running()) for name in _SIDES}
        servers = {}
        for name, (factory, ratio) in _SIDES.items():
            env = {"BENCH_COLLECTOR": collectors[name].endpoint, "BENCH_RATIO": str(ratio)}
            servers[name] = stack.enter_context(asgi(f"{_PROGRAM}:{factory}", env))
            _check(name, servers[name][0])
        turns = {name: partial(wrk.load, address + _PATH, pid) for name, (address, pid) in servers.items()}
        outcome = contest(turns, plan, lambda line: say(f"telemetry: {line}"))
        counted = {name: 0 if name == THEIRS_OFF else _counted(address) for name, (address, _) in servers.items()}
    _check_worked(outcome, counted, {name: collector.spans for name, collector in collectors.items()})
    tables = [
        Table(
            "A FastAPI service of one route under uvicorn, answers a second",
            ["on ÷ off", "on/s", "off/s", "ratio", "ratio by CPU"],
            [_kept(outcome, name) for name in _SIDES if name not in {OURS_OFF, THEIRS_OFF}],
        ),
        Table(
            "Cost of telemetry, CPU µs an answer beyond the same service without it",
            ["ours ÷ theirs", "ours µs", "theirs µs", "ratio, less is better"],
            [_dearer(outcome, ours, theirs) for ours, theirs in _DUELS],
        ),
    ]
    packages = versions(
        "uvicorn",
        "fastapi",
        "opentelemetry-sdk",
        "opentelemetry-instrumentation-fastapi",
        "prometheus-fastapi-instrumentator",
    )
    notes = [*(" ".join(note.split()) for note in _NOTES), disturbance([outcome])]
    return Section("telemetry", f"{machine()}; {packages}; {plan.rounds} rounds of {plan.seconds} s.", tables, notes)


def cost_ratio(ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> Ratio | None:
    """What on costs beyond off: ours ÷ theirs, round by round; None where theirs cost nothing in every round."""
    ratios = [
        (on - off) / (their_on - their_off)
        for on, off, their_on, their_off in zip(ours["on"], ours["off"], theirs["on"], theirs["off"], strict=True)
        if their_on > their_off
    ]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def _dearer(outcome: Contest, ours: str, theirs: str) -> list[str]:
    mine = {"on": outcome.facts(ours, "cpu"), "off": outcome.facts(OURS_OFF, "cpu")}
    others = {"on": outcome.facts(theirs, "cpu"), "off": outcome.facts(THEIRS_OFF, "cpu")}
    costs = [statistics.median(each["on"]) - statistics.median(each["off"]) for each in (mine, others)]
    return [f"{ours} ÷ {theirs}", shown(costs[0]), shown(costs[1]), str(cost_ratio(mine, others) or "void")]


def _kept(outcome: Contest, name: str) -> list[str]:
    off = OURS_OFF if name.startswith("ours") else THEIRS_OFF
    ratio, by_cpu = outcome.ratio_shown(name, off), outcome.per("cpu").ratio_shown(name, off)
    return [f"{name} ÷ {off}", shown(outcome.rate(name)), shown(outcome.rate(off)), ratio, by_cpu]


def _check(name: str, address: str) -> None:
    said = json.loads(fetched(address + _PATH))
    if said != ANSWER:
        raise SystemExit(f"bench: {name} answers {said}")


def _counted(address: str) -> int:
    """What its metrics tell of our route."""
    text = fetched(address + "/metrics").decode()
    figures = [
        line.rpartition(" ")[2] for line in text.splitlines() if "requests_total{" in line and "/orders/" in line
    ]
    return int(sum(map(float, figures)))


def _check_worked(outcome: Contest, counted: Mapping[str, int], spans: Mapping[str, int]) -> None:
    """Raises SystemExit where telemetry that is on left nothing behind, or some that is off did."""
    for name, (_, ratio) in _SIDES.items():
        requests = int(sum(outcome.facts(name, "requests")))
        if ratio == _NONE:
            wrong = bool(counted[name] or spans[name])
        else:
            least = requests * ratio / 3 if ratio < 1 else 1  # a queue that is full drops spans, and must not block
            wrong = counted[name] < requests or spans[name] < least
        if wrong:
            raise SystemExit(
                f"bench: {name}: {requests} requests, {counted[name]} counted, {spans[name]} spans arrived"
            )
