"""Every query of every panel and every alert, asked of a real Prometheus that watches the hub at work: it finds
something, or there is a reason why it does not, and the figure is there all the same."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortex_cli.hub import redis_of
from cortex_cli.state import State
from cortex_core.testing import free_row
from scripts.dashboards.alerts import ALERTS
from scripts.dashboards.alerts_of_traffic import RECORDINGS
from scripts.dashboards.layout import Query
from scripts.dashboards.services import all_boards

from .prometheus import Prometheus
from .work import LIMIT_A_MINUTE, SERVICES, Work

BUSY = 'changes(cortex_hub_image_processing_seconds_count{service="compute"}[60s]) > 2'  # seen at work four times
SELECTOR = re.compile(r"[a-zA-Z_:][\w:]*{[^}]*}")
ONE_SERVICE = re.compile(r'service="\w+"')
NAME = re.compile(r"(\w+?)(?:_bucket|_sum|_count)?{")

UNSEEN = {  # what this work does not make happen: their own tests do
    "cortex_actors_failures_total",
    "cortex_bulkhead_rejections_total",
    "cortex_bus_gap_events_total",
    "cortex_bus_strains_total",
    "cortex_hub_orders_put_off_total",
    "cortex_projection_troubles_total",
    "cortex_relay_errors_total",
    "cortex_retries_given_up_total",
    "cortex_timeouts_total",
}


@dataclass(frozen=True)
class Watched:
    """The hub has worked from `began` to `well`; then compute was killed."""

    prometheus: Prometheus
    well: float
    ill: float

    def finds(self, query: str) -> bool:
        return any(self.prometheus.find(_bound(query), at) for at in (self.well, self.ill))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    base = free_row(len(SERVICES) + 1)  # analytics has two
    targets = {service: f"127.0.0.1:{port}" for port, service in enumerate(SERVICES, start=base)}
    with Prometheus.scraping(targets, tmp_path) as prometheus, _hub(tmp_path / "hub", base):
        work = Work(lambda service: f"http://{targets[service]}", str(redis_of(State(tmp_path / "hub"))))
        prometheus.eventually("up == 1", len(SERVICES))
        asyncio.run(work.unusual())
        asyncio.run(work.usual(lambda: prometheus.eventually(BUSY)))
        well = time.time()
        record = State(tmp_path / "hub").read()
        assert record
        compute = next(member for member in record.members if member.name == "compute").identity
        assert compute
        asyncio.run(work.without_compute(compute.pid))
        asyncio.run(work.impatience())
        prometheus.eventually("cortex_circuit_breaker_state == 2")
        prometheus.eventually("count_over_time(cortex_rate_limit_refusals_total[60s]) > 1")
        yield Watched(prometheus, well, time.time())


@pytest.mark.hub
def test_every_query_of_every_panel_and_alert_is_answered(watched: Watched) -> None:
    queries = {
        (board.uid, panel.title, query) for board in all_boards() for panel in board.panels() for query in panel.queries
    }
    silent = sorted(
        f"{board}: {title}: {query.expr}" for board, title, query in queries if not _explained(watched, query)
    )
    assert not silent, "\n".join(silent)

    always = [query.text for _, _, query in queries if query.otherwise and not watched.finds(query.text)]
    assert not always, "\n".join(always)

    rules = [rule for group in watched.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(RECORDINGS) + sum(len(alert.rules) for alert in ALERTS)
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    blind = [
        f"{rule['name']}: {part}"
        for rule in rules
        for part in SELECTOR.findall(rule["query"])
        if not (_is_recorded(part) or watched.finds(part) or _is_unseen(watched, part))
    ]
    assert not blind, "\n".join(blind)


def _explained(watched: Watched, query: Query) -> bool:
    """It finds something. Or there is a reason why not: then it finds something where another service is meant, or its
    figure is one of UNSEEN, and the service has it."""
    if watched.finds(query.expr):
        return True
    if query.quiet and watched.finds(ONE_SERVICE.sub('service=~".*"', query.expr)):
        return True
    return bool(query.quiet) and _is_unseen(watched, query.expr)


def _is_unseen(watched: Watched, expr: str) -> bool:
    names = set(NAME.findall(expr))
    return names <= UNSEEN and all(watched.prometheus.ask("metadata", metric=name) for name in names)


def _is_recorded(part: str) -> bool:
    """What it is made of is asked for as a rule of its own."""
    return part.partition("{")[0] in {each.name for each in RECORDINGS}


def _bound(query: str) -> str:
    """As Grafana asks it, with all services and replicas chosen."""
    return re.sub(r"\$(?:namespace|service|instance)\b", ".*", query).replace("$__rate_interval", "60s")


@contextmanager
def _hub(state: Path, base: int) -> Iterator[None]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state.parent),
        "GATEWAY_RATE_LIMIT_PER_MINUTE": str(LIMIT_A_MINUTE),
    }

    def cortex(*arguments: str) -> None:
        command = [sys.executable, "-m", "cortex_cli.main", *arguments, "--state", str(state)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr

    cortex("up", "--detach", "--restart", "--port-base", str(base))
    try:
        yield
    finally:
        cortex("down")


def test_json_of_the_dashboards_holds_these_queries() -> None:
    """What was asked above is what Grafana asks."""
    root = Path(__file__).parents[3] / "observability" / "grafana" / "dashboards"
    for board in all_boards():
        written = json.loads((root / f"{board.uid}.json").read_text())
        targets = {target["expr"] for panel in written["panels"] for target in panel.get("targets", ())}
        assert {query.text for panel in board.panels() for query in panel.queries} <= targets
