"""What the overview says of two hubs that one Prometheus scrapes, with all namespaces chosen: promtool is asked."""

import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.dashboards.overview import overview
from scripts.dashboards.services import all_boards

from .work import SERVICES

OF = 'job="cortex-hub",namespace="{}",service="{}",instance="{}"'
MINUTES = 10


def a_hub(namespace: str, *, orders: int, dead: int, created: int, order_is_up: int = 1) -> dict[str, str]:
    """Samples a minute apart. Analytics has two replicas, which tell the same."""
    told = {}
    for service in SERVICES:
        of = OF.format(namespace, service, "one")
        alive = order_is_up if service == "order" else 1
        told[f"up{{{of}}}"] = told[f"cortex_hub_ready{{{of}}}"] = f"{alive}x{MINUTES}"
    for replica in ("one", "two"):
        of = OF.format(namespace, "analytics", replica)
        told[f"cortex_hub_active_orders{{{of}}}"] = f"{orders}x{MINUTES}"
        told[f'cortex_bus_dead_letters{{{of},group="analytics"}}'] = f"{dead}x{MINUTES}"
        told[f'cortex_bus_lag_entries{{{of},group="analytics",topic="order"}}'] = f"{dead}x{MINUTES}"
        told[f"cortex_hub_orders_created_total{{{of}}}"] = f"0+{60 * created}x{MINUTES}"
        told[f'cortex_hub_orders_ended_total{{{of},outcome="completed"}}'] = f"0+{60 * created}x{MINUTES}"
    for replica in ("one", "two"):
        of = OF.format(namespace, "order", replica)
        told[f"cortex_hub_outbox_pending{{{of}}}"] = f"{dead}x{MINUTES}"
        told[f'cortex_projection_parked{{{of},projection="orders"}}'] = f"{dead}x{MINUTES}"
    told[f'cortex_circuit_breaker_state{{{OF.format(namespace, "gateway", "one")},name="order"}}'] = f"2x{MINUTES}"
    return told


TWO = a_hub("prod", orders=100, dead=3, created=10, order_is_up=0) | a_hub("staging", orders=40, dead=2, created=5)
OVERVIEW = "cortex-overview"


@pytest.mark.parametrize(
    ("board", "title", "legend", "value"),
    [
        (OVERVIEW, "Services up", "up", 5),
        (OVERVIEW, "Services ready", "ready", 5),
        (OVERVIEW, "Active orders", "active", 140),
        (OVERVIEW, "Dead letters", "waiting", 5),
        (OVERVIEW, "Circuits open", "open", 2),
        (OVERVIEW, "Orders created and ended", "created", 15),
        (OVERVIEW, "Orders created and ended", "{{outcome}}", 15),
        ("cortex-gateway", "Circuits open", "open", 2),
        ("cortex-analytics", "Active orders", "active", 140),
        ("cortex-analytics", "Ended", "{{outcome}}", 15),
        ("cortex-analytics", "Entries behind", "{{topic}}", 5),
        ("cortex-analytics", "Dead letters", "{{group}}", 5),
        ("cortex-order", "Waiting for the bus", "messages", 5),
        ("cortex-order", "Projected", "{{projection}} set aside", 5),
    ],
)
def test_two_hubs_are_added_up(tmp_path: Path, board: str, title: str, legend: str, value: float) -> None:
    assert told(tmp_path, asked(board, title, legend), TWO, value) == ""


def test_a_hub_without_a_namespace_is_one(tmp_path: Path) -> None:
    alone = {
        series.replace('namespace="prod",', ""): values
        for series, values in a_hub("prod", orders=100, dead=3, created=10).items()
    }

    assert told(tmp_path, asked(OVERVIEW, "Services up", "up"), alone, 6) == ""
    assert told(tmp_path, asked(OVERVIEW, "Active orders", "active"), alone, 100) == ""


def asked(uid: str, title: str, legend: str) -> str:
    """What Grafana asks for that panel's line, with everything chosen."""
    board = overview() if uid == OVERVIEW else next(each for each in all_boards() if each.uid == uid)
    queries = [query for panel in board.panels() if panel.title == title for query in panel.queries]
    text = next(query.text for query in queries if query.legend == legend)
    return text.replace("$namespace", ".*").replace("$instance", ".*").replace("$__rate_interval", "5m")


def told(folder: Path, expr: str, samples: dict[str, str], value: float) -> str:
    """What promtool has against the one value of `expr` after ten minutes."""
    asked = {"expr": f"sum({expr})", "eval_time": f"{MINUTES}m", "exp_samples": [{"labels": "{}", "value": value}]}
    series = [{"series": name, "values": values} for name, values in samples.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    done = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
