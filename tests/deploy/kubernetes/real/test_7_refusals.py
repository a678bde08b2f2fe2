"""What must not start says so in one line: development's secrets in production, a wrong database password."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.kubernetes.cluster import Failed, eventually, ready

from .release import NAME, Release
from .sightings import Sightings


@contextmanager
def other(hub: Release, secret: str, **data: str) -> Iterator[None]:
    """The Secret holds other data; afterwards the same bytes as before."""
    before = hub.namespace.secret(secret)
    try:
        put(hub, secret, {key: base64.b64encode(value.encode()).decode() for key, value in data.items()})
        yield
    finally:
        put(hub, secret, before)


def put(hub: Release, secret: str, data: dict[str, str]) -> None:
    hub.namespace.kubectl("patch", "secret", secret, "--type=merge", "-p", json.dumps({"data": data}))


@contextmanager
def one_pod(hub: Release, service: str) -> Iterator[str]:
    """A pod of the service beside those of its Deployment, made now: it reads what the Secrets hold now."""
    name = f"{service}-alone"
    template = hub.namespace.get("deployment", f"{NAME}-{service}")["spec"]["template"]
    spec = {**template["spec"], "restartPolicy": "Never"}
    metadata = {"name": name, "labels": {"app": name}, "annotations": template["metadata"]["annotations"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    hub.namespace.apply(pod)
    try:
        yield name
    finally:
        hub.namespace.kubectl("delete", "pod", name, "--grace-period=1", timeout=90)


def said(hub: Release, pod: str) -> str:
    try:
        return hub.namespace.kubectl("logs", pod)
    except Failed:
        return ""


def test_production_refuses_a_pepper_of_development(hub: Release, seen: Sightings) -> None:
    with other(hub, f"{NAME}-pepper", pepper="dev-" + "a" * 60), one_pod(hub, "gateway") as pod:
        eventually(lambda: hub.namespace.get("pod", pod)["status"]["phase"] == "Failed", within=60, what="a refusal")
        lines = said(hub, pod).strip().splitlines()
        code = hub.namespace.get("pod", pod)["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]

    assert code == 78, lines
    assert len(lines) == 1, lines
    assert "CORTEX_KEY_PEPPER" in lines[0]
    assert "aaaa" not in lines[0]
    seen("production with a pepper of development", f"exits {code}: {lines[0][:90]}")


def test_a_wrong_database_password_is_said_and_the_pod_is_not_ready(hub: Release, seen: Sightings) -> None:
    wrong = f"postgresql://cortex_order:not-the-one@{NAME}-postgresql:5432/cortex_order"
    with other(hub, f"{NAME}-postgresql-order", url=wrong), one_pod(hub, "order") as pod:
        line = eventually(
            lambda: next((each for each in said(hub, pod).splitlines() if "ORDER_DATABASE_URL" in each), ""),
            within=60,
            what="a word about the database",
        )
        whole = said(hub, pod)
        found = hub.namespace.get("pod", pod)

    assert not ready(found)
    assert "Traceback" not in whole
    assert "not-the-one" not in whole
    seen("order with a wrong database password", f"not ready: {line[:110]}")


@pytest.mark.parametrize(
    "value",
    [
        "redis.size=4Gi",
        "postgresql.storageClass=another",
        "services.storage.persistence.accessMode=ReadWriteMany",
        "services.storage.persistence.storageClass=another",
        "services.storage.persistence.size=1Gi",
    ],
)
def test_another_volume_is_refused_before_anything_changes(hub: Release, value: str) -> None:
    before = hub.namespace.helm("history", NAME)

    with pytest.raises(Failed) as refused:
        hub.upgrade("--set", f"{value},settings.logLevel=error")

    path, _, wanted = value.partition("=")
    assert f"{path} is {wanted}, and the " in refused.value.said
    assert hub.namespace.helm("history", NAME) == before
