"""`helm uninstall` leaves what the documents say: Secrets, volumes, what hooks made last, and nothing else."""

from scripts.kubernetes.cluster import eventually
from scripts.kubernetes.objects import annotations, at, where

from .release import NAME, Release
from .sightings import Sightings

KINDS = (
    "deployments,statefulsets,replicasets,jobs,pods,services,ingresses,configmaps,serviceaccounts,roles,rolebindings,"
    "networkpolicies,poddisruptionbudgets,horizontalpodautoscalers"
)


def beside_hooks(hub: Release, *chosen: str) -> list[str]:
    """What is there and was no hook's: Helm counts hooks (`db upgrade`, `helm test`) as nobody's."""
    items = hub.namespace.get(KINDS, *chosen)["items"]
    hooks = {where(one) for one in items if "helm.sh/hook" in annotations(one)}
    owners = {
        where(one): {f"{each['kind']}/{each['name']}" for each in at(one, "metadata").get("ownerReferences", ())}
        for one in items
    }
    return [place for place, above in owners.items() if place not in hooks and not above & hooks]


def test_an_uninstalled_release_leaves_its_secrets_and_its_data(hub: Release, seen: Sightings) -> None:
    chosen = ("-l", f"app.kubernetes.io/instance={NAME}")
    secrets = {each["metadata"]["name"] for each in hub.namespace.get("secrets", *chosen)["items"]}

    hub.uninstall()

    eventually(lambda: not beside_hooks(hub, *chosen), within=120, what="everything to be gone")
    left = {each["metadata"]["name"] for each in hub.namespace.get("secrets", *chosen)["items"]}
    claims = sorted(each["metadata"]["name"] for each in hub.namespace.get("persistentvolumeclaims")["items"])
    assert left == secrets
    assert claims, "the stores' volumes are kept"
    seen("left by `helm uninstall`", f"{len(left)} Secrets, claims {', '.join(claims)}")


def test_installed_again_it_is_the_same_hub(hub: Release, seen: Sightings) -> None:
    """With the Secrets and volumes that are left: the same token, and the orders of before."""
    hub.install()

    with hub.open() as door:
        orders = door.get("/api/orders?limit=1")["orders"]

    assert orders, "the orders of before"
    seen("installed again", "the same token opens it, its orders are there")
