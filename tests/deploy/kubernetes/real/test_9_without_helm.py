"""`kubectl apply`: the next version of a set, and the step to Helm, by the commands of docs/deploy/kubernetes.md."""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts.kubernetes.cluster import Namespace, Object, eventually, ready
from scripts.kubernetes.objects import labels

from .page import do
from .release import NAME, ROOT, SERVICES, Release
from .sightings import Sightings

OURS = ("-l", f"app.kubernetes.io/instance={NAME}")


@pytest.fixture
def another() -> Iterator[Namespace]:
    with Namespace.made(f"cluster-{secrets.token_hex(3)}") as made:
        yield made


def kustomization(folder: Path, told: Object, images: tuple[str, str], namespace: Namespace) -> str:
    """`told` in the namespace of the test, with its images; the folder."""
    repository, tag = images
    wanted = [{"name": f"cortex-hub/{each}", "newName": f"{repository}/{each}", "newTag": tag} for each in SERVICES]
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump({**told, "namespace": namespace.name, "images": wanted}), encoding="utf-8"
    )
    return str(folder)


def prod(folder: Path, images: tuple[str, str], namespace: Namespace) -> str:
    told = yaml.safe_load((ROOT / "k8s/overlays/prod/kustomization.yaml").read_text())
    shutil.copy(ROOT / "k8s/overlays/prod/hub.yaml", folder)
    return kustomization(folder, {**told, "resources": ["hub.yaml"]}, images, namespace)


def trial(folder: Path, images: tuple[str, str], namespace: Namespace) -> str:
    files = [file for file in sorted((ROOT / "k8s").glob("*.yaml")) if file.name != "00-namespace.yaml"]
    for file in files:
        shutil.copy(file, folder)
    return kustomization(folder, {"resources": [file.name for file in files]}, images, namespace)


def images_of(namespace: Namespace, kind: str) -> set[str]:
    every = namespace.get(kind, *OURS)["items"]
    return {each["image"].partition(":")[2] for one in every for each in one["spec"]["template"]["spec"]["containers"]}


def test_prod_is_applied_in_one_version_and_in_the_next(
    another: Namespace, images: tuple[str, str], tmp_path: Path, seen: Sightings
) -> None:
    another.kubectl("apply", "-k", prod(tmp_path, images, another))
    before = {job["metadata"]["uid"] for job in another.get("jobs", *OURS)["items"]}

    folder = prod(tmp_path, (images[0], "next"), another)
    do("The next version", another, "kubernetes.md", {"cortex-hub-prod": another.name, "k8s/overlays/prod": folder})

    after = another.get("jobs", *OURS)["items"]
    assert len(before) == len(after) == 4
    assert not before & {job["metadata"]["uid"] for job in after}
    assert images_of(another, "jobs") == images_of(another, "deployments") == {"next"}
    seen("k8s/overlays/prod applied with a tag, then with another", f"{len(after)} Jobs made anew")


def test_helm_goes_on_with_what_kubectl_applied(
    another: Namespace, images: tuple[str, str], tmp_path: Path, seen: Sightings
) -> None:
    another.kubectl("apply", "-k", trial(tmp_path, images, another))
    pods = eventually(lambda: serving(another), within=300, what="everything to be ready")
    release = Release(another, *images)
    token = release.token()

    mine = f"--take-ownership --set-string image.repository={images[0]},image.tag={images[1]}"
    do(
        "On with Helm",
        another,
        "kubernetes.md",
        {"--namespace cortex-hub": f"--namespace {another.name}", "--take-ownership": mine},
    )

    assert release.token() == token
    after = eventually(lambda: serving(another), within=60, what="everything to be ready as before")
    assert pods <= after, "pods were made anew"  # an autoscaler may have brought more
    assert json.loads(another.helm("status", NAME, "-o", "json"))["info"]["status"] == "deployed"
    made = another.get("deployments,statefulsets,services,configmaps,roles,networkpolicies", *OURS)["items"]
    assert [one for one in made if labels(one).get("app.kubernetes.io/managed-by") != "Helm"] == []
    seen("`helm install` over what `kubectl apply -f k8s/` made", f"the same token, the same {len(pods)} pods")
    release.uninstall()


def serving(namespace: Namespace) -> set[str]:
    """The pods, if all that have not ended are ready, and none where one is not."""
    pods = [pod for pod in namespace.get("pods", *OURS)["items"] if pod["status"]["phase"] != "Succeeded"]
    return {pod["metadata"]["uid"] for pod in pods} if len(pods) > len(SERVICES) and all(map(ready, pods)) else set()
