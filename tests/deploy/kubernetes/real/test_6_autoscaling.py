"""Autoscalers that scale: by what waits on the bus, by requests in progress, and the one by CPU reads its figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.kubernetes.cluster import Object, eventually

from .metrics_api import external_metrics
from .release import NAME, Release
from .sightings import Sightings

LAG = "cortex_bus_lag_entries"
VALUES = Path(__file__).with_name("autoscaling.yaml")


@pytest.fixture(scope="module", autouse=True)
def scaled(hub: Release) -> Iterator[None]:
    """Autoscalers for three services, and the API that they ask; afterwards as it was."""
    with external_metrics(hub, same=LAG):
        hub.upgrade("-f", str(VALUES))
        hub.settled("gateway", "analytics")
        yield
    hub.upgrade()
    hub.settled("gateway", "analytics")


def scaler(hub: Release, service: str) -> Object:
    return hub.namespace.get("hpa", f"{NAME}-{service}")


def replicas(hub: Release, service: str) -> int:
    return int(hub.namespace.get("deployment", f"{NAME}-{service}")["spec"]["replicas"])


def figure(hub: Release, service: str) -> str:
    current = scaler(hub, service)["status"].get("currentMetrics") or [{}]
    return str(current[0].get("external", current[0].get("resource", {})).get("current", {}))


@contextmanager
def nobody_may_write(hub: Release, database: str) -> Iterator[None]:
    """A lock on every table of a database, as a careless migration takes it: whoever writes there waits."""
    tables = "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'"
    script = f"""
        DO $$ BEGIN EXECUTE 'LOCK TABLE ' || ({tables}) || ' IN EXCLUSIVE MODE'; PERFORM pg_sleep(75); END $$;
    """
    pod = hub.namespace.pods("postgresql")[0]["metadata"]["name"]
    shell = ["exec", pod, "--", "sh", "-c", f'psql -U postgres -d {database} -c "$1" >/dev/null 2>&1 &', "sh", script]
    hub.namespace.kubectl(*shell)
    yield


def test_the_autoscaler_by_cpu_reads_its_figure(hub: Release, seen: Sightings) -> None:
    eventually(lambda: "averageUtilization" in figure(hub, "compute"), within=120, what="a figure of CPU")

    seen("autoscaler of compute by CPU", figure(hub, "compute"))


def test_what_waits_on_the_bus_makes_more_of_who_takes_it(hub: Release, seen: Sightings) -> None:
    assert replicas(hub, "analytics") == 1

    with nobody_may_write(hub, "cortex_analytics"), hub.under_load(HUB_READERS="1", HUB_BUYERS="4"):
        eventually(lambda: replicas(hub, "analytics") == 2, within=70, what="a second analytics")
        seen("autoscaler of analytics by bus lag", f"1 → 2 replicas at {figure(hub, 'analytics')}")

    eventually(lambda: replicas(hub, "analytics") == 1, within=120, what="the second analytics to go again")
    seen("autoscaler of analytics, the bus empty again", "2 → 1 replicas")


def test_requests_in_progress_make_more_gateways(hub: Release, seen: Sightings) -> None:
    assert replicas(hub, "gateway") == 3

    with hub.under_load(HUB_READERS="1", HUB_BUYERS="1", HUB_UPLOADS="20") as clients:
        eventually(lambda: replicas(hub, "gateway") == 4, within=70, what="a fourth gateway")
        seen("autoscaler of gateway by requests in progress", f"3 → 4 replicas at {figure(hub, 'gateway')}")

    assert clients.failed == 0, clients.failures
