"""A pod of each kind killed at once while orders are placed: it comes back by itself, nothing acknowledged is lost.
What has to be on one node leaves it together.
"""

import json

import pytest

from scripts.kubernetes.cluster import Namespace, eventually, ready

from .release import SERVICES, Release
from .sightings import Sightings


def back(hub: Release, component: str, count: int, gone: str) -> bool:
    """As many as before, all ready, and none of them the killed one."""
    pods = hub.namespace.pods(component)
    return len(pods) == count and all(map(ready, pods)) and gone not in {pod["metadata"]["uid"] for pod in pods}


@pytest.mark.parametrize("component", [*SERVICES, "payments", "redis", "postgresql"])
def test_a_killed_pod_comes_back_and_no_order_is_lost(hub: Release, seen: Sightings, component: str) -> None:
    before = hub.namespace.pods(component)
    victim = before[0]["metadata"]["name"]
    uid = before[0]["metadata"]["uid"]

    with hub.under_load(HUB_READERS="1", HUB_BUYERS="3") as clients:
        hub.namespace.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
        eventually(lambda: back(hub, component, len(before), uid), within=150, what=f"{component} to come back")

    ends = hub.end_of(clients.orders)
    seen(
        f"{component} killed",
        f"{len(clients.orders)} orders acknowledged: {ends}; {clients.failed} of {clients.total} failed",
    )
    assert clients.orders, "no order was acknowledged: nothing was proved"


def test_pods_of_storage_on_one_volume_leave_their_node_together(hub: Release) -> None:
    """A drained node takes no new pod: one that had to wait for its successor would keep the drain for ever."""
    hub.upgrade("--set", "services.storage.replicas=2")
    try:
        hub.settled("storage")
        for pod in hub.namespace.pods("storage"):
            evict(hub.namespace, pod["metadata"]["name"])  # the second is asked before a successor can be ready
        hub.settled("storage")
    finally:
        hub.upgrade()


def evict(namespace: Namespace, pod: str) -> None:
    """As `kubectl drain` does. Raises Failed where a budget forbids it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    namespace.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(eviction))
