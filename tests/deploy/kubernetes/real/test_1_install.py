"""`helm install`: everything ready in a restricted namespace, an order placed by `helm test`, wrong values refused."""

import json
import time
from datetime import datetime

import pytest

from scripts.kubernetes.cluster import Failed, Namespace, Object, eventually, ready

from .release import NAME, SERVICES, Release
from .sightings import Sightings


def test_a_wrong_value_is_refused_by_name(namespace: Namespace, images: tuple[str, str]) -> None:
    release = Release(namespace, *images)
    for wrong, named in [
        ("services.gateway.replicas=many", "replicas"),
        ("services.order.settings.paymentTimout=3", "paymentTimout"),
        ("payments.sandbox.enabeld=true", "enabeld"),
        (r"services.order.podLabels.app\.kubernetes\.io/component=x", "'/services/order/podLabels/app.kubernetes.io"),
        ("ingress.host=http://hub.example", "'/ingress/host'"),
    ]:
        with pytest.raises(Failed) as refused:
            release.install("--set", wrong, "--dry-run=client")
        assert named in refused.value.said, refused.value.said


def test_everything_is_ready(hub: Release, seen: Sightings) -> None:
    pods = [pod for pod in hub.namespace.get("pods")["items"] if pod["status"]["phase"] != "Succeeded"]

    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods} >= {
        *SERVICES,
        "redis",
        "postgresql",
    }
    assert [pod["metadata"]["name"] for pod in pods if not ready(pod)] == []
    restarts = {pod["metadata"]["name"]: count for pod in pods if (count := _restarts(pod))}
    assert restarts == {}, "nothing crashes while it waits for its database or its tables"
    seen("pods ready after `helm install --wait`", len(pods))


def test_the_namespace_enforces_restricted(hub: Release) -> None:
    found = hub.namespace.get("namespace", hub.namespace.name)

    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_start_under_its_limits_is_short(hub: Release, seen: Sightings) -> None:
    """From the container's start to ready, under the chart's limit of CPU; the API server keeps whole seconds."""
    for service in SERVICES:
        seconds = max(_seconds_to_ready(pod) for pod in hub.namespace.pods(service))
        seen(f"{service}: seconds from start to ready", f"{seconds:g}")


def test_helm_test_places_an_order_and_follows_it(hub: Release, seen: Sightings) -> None:
    began = time.monotonic()

    said = hub.namespace.helm("test", NAME, timeout=180)

    assert "Phase:          Succeeded" in said
    seen("`helm test`: an order placed and followed to its end", f"{time.monotonic() - began:.0f} s")


def test_a_pod_has_no_token_and_no_secret_in_its_environment(hub: Release) -> None:
    for service in SERVICES:
        pod = hub.namespace.pods(service)[0]
        told = json.dumps(pod["spec"])
        assert "kube-api-access" not in told
        assert "secretKeyRef" not in told


def test_the_metrics_api_sees_the_pods(hub: Release, seen: Sightings) -> None:
    def used() -> dict[str, int]:
        """Megabytes by pod, once there are figures of a pod of each service: they come one after the other."""
        try:
            rows = [line.split() for line in hub.namespace.kubectl("top", "pods", "--no-headers").splitlines()]
        except Failed:
            return {}
        found = {row[0]: int(row[2].removesuffix("Mi")) for row in rows}
        return found if all(any(_is_of(service, pod) for pod in found) for service in SERVICES) else {}

    megabytes = eventually(used, within=90, what="figures of the pods")
    seen("memory of all pods", f"{sum(megabytes.values())} Mi in {len(megabytes)} pods")
    for service in SERVICES:
        seen(
            f"{service}: memory of a pod",
            f"{max(size for pod, size in megabytes.items() if _is_of(service, pod))} Mi",
        )


def _is_of(service: str, pod: str) -> bool:
    return pod.startswith(f"{NAME}-{service}-")


def _restarts(pod: Object) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", ()))


def _seconds_to_ready(pod: Object) -> float:
    began = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    became = next(each["lastTransitionTime"] for each in pod["status"]["conditions"] if each["type"] == "Ready")
    return (datetime.fromisoformat(became) - datetime.fromisoformat(began)).total_seconds()
