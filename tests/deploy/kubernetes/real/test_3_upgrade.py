"""An upgrade and the way back, under load, by the commands of docs/deploy/upgrade-and-rollback.md: no request fails,
what was made once stays what it was, what was changed in between stays changed, and so does an autoscaler's number.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError

import pytest

from scripts.kubernetes.cluster import Object, eventually

from .page import do
from .release import NAME, Release, Seen
from .sightings import Sightings


def kept(hub: Release) -> dict[str, Object]:
    found = hub.namespace.get("secrets", "-l", f"app.kubernetes.io/instance={NAME}")["items"]
    return {each["metadata"]["name"]: each["data"] for each in found}


def level(hub: Release) -> str:
    return str(hub.namespace.get("configmap", f"{NAME}-gateway")["data"]["CORTEX_LOG_LEVEL"])


SCALED = f"{NAME}-compute"


@contextmanager
def replicas_wanted(hub: Release) -> Iterator[list[str]]:
    """Each number of pods that the autoscaled Deployment asks for meanwhile; there after the block."""
    shown = "-o=jsonpath={.spec.replicas}{'\\n'}"
    command = ["kubectl", "-n", hub.namespace.name, "get", "deployment", SCALED, "--watch", shown]
    found: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        try:
            yield found
        finally:
            watching.terminate()
            assert watching.stdout is not None
            found += watching.stdout.read().split()


def scale(hub: Release, replicas: int) -> None:
    """By the autoscaler, which keeps it for `scaleDownSeconds` when its bound is the chart's again."""
    wanted = json.dumps({"spec": {"minReplicas": replicas}})
    hub.namespace.kubectl("patch", "hpa", SCALED, "--type=merge", "-p", wanted)
    eventually(
        lambda: hub.namespace.get("deployment", SCALED)["status"].get("readyReplicas") == replicas,
        within=120,
        what=f"{replicas} pods of compute",
    )


@pytest.fixture(scope="module")
def upgraded(hub: Release) -> Iterator[tuple[Seen, Seen, list[str]]]:
    """Upgraded with another log level and back, each under load; and what differed in between."""
    scale(hub, 2)
    before, levels = kept(hub), [level(hub)]
    with hub.under_load() as forth:
        do("Upgrade", hub.namespace)
        hub.settled("gateway", "order", "notification", "analytics", "storage", "compute")
    levels.append(level(hub))
    assert kept(hub) == before, "an upgrade made other secrets"
    leaked = hub.token()
    do("Change a secret", hub.namespace)
    before |= {f"{NAME}-token": hub.namespace.secret(f"{NAME}-token")}
    assert hub.token() != leaked
    with hub.under_load() as back, replicas_wanted(hub) as wanted:
        do("Roll back", hub.namespace)
        hub.settled("gateway", "order", "notification", "analytics", "storage", "compute")
    assert set(wanted) == {"2"}, "a rollback took the autoscaler's pods away"
    levels.append(level(hub))
    assert kept(hub) == before, "a rollback made other secrets"
    yield forth, back, levels


def test_a_changed_value_arrives_and_the_rollback_takes_it_back(upgraded: tuple[Seen, Seen, list[str]]) -> None:
    assert upgraded[2] == ["info", "warning", "info"]


def test_no_request_fails_while_it_is_upgraded(upgraded: tuple[Seen, Seen, list[str]], seen: Sightings) -> None:
    seen("`helm upgrade` of all six under load", upgraded[0])
    assert upgraded[0].total > 200, "the load did not run"
    assert upgraded[0].failed == 0, upgraded[0].failures


def test_no_request_fails_while_it_is_rolled_back(upgraded: tuple[Seen, Seen, list[str]], seen: Sightings) -> None:
    seen("`helm rollback` of all six under load", upgraded[1])
    assert upgraded[1].failed == 0, upgraded[1].failures


def test_every_order_of_these_ends(hub: Release, upgraded: tuple[Seen, Seen, list[str]], seen: Sightings) -> None:
    placed = upgraded[0].orders + upgraded[1].orders

    seen("orders placed meanwhile", hub.end_of(placed))


def status(hub: Release, path: str) -> int:
    with hub.open() as door:
        try:
            door.get(path)
        except HTTPError as refused:
            with refused:
                return refused.code
    return 200


def test_what_the_token_may_goes_back_with_a_rollback(hub: Release, upgraded: tuple[Seen, Seen, list[str]]) -> None:
    """Also in a pod made anew afterwards, as after an eviction; and the token's text is the same throughout."""
    token = hub.token()
    hub.upgrade("--set", "auth.token.scopes={orders:read,keys:admin}", "--set", "auth.token.plan=free")
    hub.settled("gateway")
    granted = status(hub, "/api/keys")

    hub.namespace.helm("rollback", NAME, "--wait", "--timeout", "5m")
    hub.settled("gateway")
    hub.namespace.kubectl("delete", "pod", hub.namespace.pods("gateway")[0]["metadata"]["name"])
    hub.settled("gateway")

    assert (granted, status(hub, "/api/keys"), status(hub, "/api/orders")) == (200, 403, 200)
    assert hub.token() == token
