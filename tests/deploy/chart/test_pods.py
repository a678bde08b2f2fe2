"""What holds for every pod of a release: where it may run, who it runs as; and that no key is said twice."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmError

from scripts.chart import manifests
from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import Workload, workloads
from scripts.kubernetes.rules import findings
from scripts.kubernetes.schemas import mistakes

from .trial import EXTERNAL, TRIAL, Render

ROOT = Path(__file__).parents[3]
PLACED: dict[str, Any] = {
    "nodeSelector": {"example.org/pool": "hub"},
    "tolerations": [{"key": "hub", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "important",
}
WAYS: dict[str, dict[str, Any]] = {
    "trial": TRIAL,
    "made by a Job": {**TRIAL, "secrets": {"by": "job"}},
    "external stores": {
        **TRIAL,
        "redis": {"enabled": False},
        "externalRedis": {"existingSecret": "theirs"},
        "postgresql": {"enabled": False},
        "externalDatabases": EXTERNAL,
    },
}
each_way = pytest.mark.parametrize("way", WAYS)


def pods(values: dict[str, Any]) -> list[Workload]:
    return workloads(rendered(values))


@each_way
def test_what_global_says_of_a_place_every_pod_says(way: str) -> None:
    made = pods({**WAYS[way], "global": PLACED})

    kinds = {each.object["kind"] for each in made}
    assert kinds >= {"Deployment", "Job", "Pod"}
    assert way == "external stores" or "StatefulSet" in kinds
    for each in made:
        said = {key: each.spec.get(key) for key in PLACED}
        said["affinity"] = {key: at for key, at in said["affinity"].items() if key in PLACED["affinity"]}
        assert said == PLACED, each.where


def test_a_service_s_own_place_is_in_place_of_global_s(objects: Render) -> None:
    theirs = {"nodeSelector": {"disk": "fast"}, "priorityClassName": "storage"}

    made = objects({**TRIAL, "global": PLACED, "services": {"storage": theirs}})

    storage, order = (made["Deployment", f"hub-{name}"]["spec"]["template"]["spec"] for name in ("storage", "order"))
    assert (storage["nodeSelector"], storage["priorityClassName"]) == ({"disk": "fast"}, "storage")
    assert storage["tolerations"] == PLACED["tolerations"]
    assert {key: order[key] for key in PLACED} == PLACED


def test_pods_that_are_held_together_are_so_at_a_place_of_global_s_too(objects: Render) -> None:
    made = objects({**TRIAL, "global": PLACED})

    affinity = made["Deployment", "hub-storage"]["spec"]["template"]["spec"]["affinity"]
    assert affinity.keys() == {"nodeAffinity", "podAffinity"}


NOBODY = {"podSecurity": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}


@each_way
def test_who_pods_run_as_may_be_left_to_the_cluster(way: str) -> None:
    values = {**WAYS[way], **NOBODY}
    for store in ("redis", "postgresql"):
        values[store] = {**values.get(store, {}), **NOBODY}

    made = rendered(values)

    for each in workloads(made):
        context = each.spec["securityContext"]
        assert context.keys() == {"runAsNonRoot", "fsGroupChangePolicy", "seccompProfile"}, each.where
        assert context["runAsNonRoot"] is True
    assert [line for line in findings(made) if "whoever the image says" not in line] == []
    assert [line for one in made for line in mistakes(one)] == []


@pytest.mark.parametrize("path", ["podSecurity", "redis.podSecurity", "postgresql.podSecurity"])
def test_nobody_runs_as_root(objects: Render, path: str) -> None:
    values: dict[str, Any] = {"runAsUser": 0}
    for key in reversed(path.split(".")):
        values = {key: values}

    with pytest.raises(HelmError, match=f"at '/{path.replace('.', '/')}/runAsUser': minimum"):
        objects({**TRIAL, **values})


class Strict(yaml.SafeLoader):
    """Refuses a key that a map has already, as `kubectl apply` and Argo CD do; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def test_what_is_said_in_two_places_stands_once_and_the_nearer_one_wins(objects: Render) -> None:
    values = {
        **TRIAL,
        "global": {"labels": {"team": "all", "cortex-hub/client": "no", "grafana_dashboard": "no"}},
        "serviceDefaults": {"podLabels": {"team": "orders"}},
        "dashboards": {"enabled": True},
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"team": "metrics"}},
            "prometheusRule": {"enabled": True, "labels": {"team": "metrics"}},
        },
    }

    text = manifests.rendered(ROOT / "helm/cortex-hub", values, "here")

    assert len(list(yaml.load_all(text, Strict))) > 0
    made = objects(values)
    assert made["Deployment", "hub-order"]["spec"]["template"]["metadata"]["labels"]["team"] == "orders"
    assert made["ServiceMonitor", "hub"]["metadata"]["labels"]["team"] == "metrics"
    assert made["Pod", "hub-test"]["metadata"]["labels"]["cortex-hub/client"] == "true"


@pytest.mark.parametrize("key", ["checksum/config", "cortex-hub/static-tokens", "cortex-hub/secrets-revision"])
def test_an_annotation_of_the_chart_s_is_not_given_away(objects: Render, key: str) -> None:
    with pytest.raises(HelmError, match=f"podAnnotations: {key} is the chart's own"):
        objects({**TRIAL, "secrets": {"revision": "2"}, "services": {"order": {"podAnnotations": {key: "x"}}}})


def test_the_account_of_a_hook_stays_one(objects: Render) -> None:
    with pytest.raises(HelmError, match=r"serviceAccountAnnotations/helm\.sh~1hook"):
        objects({**TRIAL, "migrations": {"serviceAccountAnnotations": {"helm.sh/hook": "post-install"}}})
