"""What `make render` makes is what is there."""

import re
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from scripts.chart import comments, files, manifests

ROOT = Path(__file__).parents[3]


def test_what_is_made_is_committed() -> None:
    made = {**files.inputs(ROOT), **files.outputs(ROOT)}

    differs = [name for name, text in made.items() if not (ROOT / name).is_file() or (ROOT / name).read_text() != text]

    assert differs == [], "make render would change them"
    assert files.strays(ROOT, set(made)) == [], "nothing makes these any more"


def test_the_chart_has_nothing_to_complain_of() -> None:
    report = helm_python.lint(ROOT / "helm/cortex-hub", {"payments": {"url": "https://pay.example"}}, strict=True)

    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] >= 2] == []


def test_the_flat_set_is_for_kubectl_apply_alone() -> None:
    assert not list((ROOT / "k8s").glob("kustomization.*"))
    assert all(file.suffix == ".yaml" for file in (ROOT / "k8s").iterdir() if file.is_file())


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_overlay_names_files_and_images_that_are_there(overlay: str) -> None:
    folder = ROOT / "k8s/overlays" / overlay
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())
    objects = list(yaml.safe_load_all((folder / "hub.yaml").read_text()))
    pods = [
        each["spec"]["template"]["spec"] for each in objects if each["kind"] in {"Deployment", "StatefulSet", "Job"}
    ]
    images = {container["image"].partition(":")[0] for pod in pods for container in pod["containers"]}
    known = {(each["kind"], each["metadata"]["name"]) for each in objects}

    assert all((folder / name).is_file() for name in told["resources"])
    assert {each["name"] for each in told["images"]} == {name for name in images if name.startswith("cortex-hub/")}
    for each in told.get("patches", []):  # a name is a pattern, as kustomize takes it
        target = each["target"]
        assert any(kind == target["kind"] and re.fullmatch(target["name"], name) for kind, name in known), target
    assert told["namespace"] == f"cortex-hub-{overlay}"


def test_a_set_with_a_secret_in_it_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "helm").symlink_to(ROOT / "helm")
    (tmp_path / "k8s/values").mkdir(parents=True)
    (tmp_path / "k8s/values/trial.yaml").write_text("payments: {sandbox: {enabled: true}}")

    with pytest.raises(ValueError, match=r"trial\.yaml: hub-.* would be in the repository"):
        manifests.sets(tmp_path)


def test_a_value_that_nobody_explains_is_refused() -> None:
    with pytest.raises(ValueError, match=r"line 4: hub\.port has no comment"):
        comments.read("# The hub.\nhub:\n  # Its name.\n  port: 1\n".replace("  # Its name.\n", "\n"))


def test_the_chart_has_the_version_of_what_it_installs() -> None:
    chart = yaml.safe_load((ROOT / "helm/cortex-hub/Chart.yaml").read_text())
    versions = {
        tomllib.loads(file.read_text())["project"]["version"] for file in (ROOT / "services").glob("*/pyproject.toml")
    }

    assert versions == {chart["appVersion"]}
    assert {each["version"] for each in chart["dependencies"]} == {
        yaml.safe_load(file.read_text())["version"] for file in (ROOT / "helm/cortex-hub/charts").glob("*/Chart.yaml")
    }


def test_a_set_s_pods_are_those_of_the_chart() -> None:
    """So that Helm, which takes over what `kubectl apply` made, makes none of them anew."""
    values = yaml.safe_load((ROOT / "k8s/values/trial.yaml").read_text())
    chart = manifests.objects(manifests.rendered(ROOT / "helm/cortex-hub", values, "cortex-hub"))
    of_chart = {name(each): each["spec"]["template"] for each, _ in chart if each["kind"] in SERVING}
    files = [each for file in (ROOT / "k8s").glob("*.yaml") for each in yaml.safe_load_all(file.read_text())]

    of_set = {name(each): each["spec"]["template"] for each in files if each["kind"] in SERVING}

    assert of_set == of_chart


SERVING = {"Deployment", "StatefulSet"}


def name(one: dict[str, Any]) -> str:
    return str(one["metadata"]["name"])
