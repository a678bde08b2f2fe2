"""The chart, rendered as people would set it: every object passes Kubernetes' own schema and every rule.

Installed and upgraded both, since hooks differ. cases.yaml has the values.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmError

from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import Object, kind, name, of, workloads
from scripts.kubernetes.rules import findings
from scripts.kubernetes.schemas import mistakes

CASES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cases.yaml").read_text())
each = pytest.mark.parametrize("case", CASES)


@cache
def objects(case: str, *, upgrade: bool = False) -> list[Object]:
    return rendered(CASES[case], upgrade=upgrade)


@each
@pytest.mark.parametrize("upgrade", [False, True], ids=["install", "upgrade"])
def test_no_rule_is_broken(case: str, upgrade: bool) -> None:
    assert list(findings(objects(case, upgrade=upgrade))) == []


@each
def test_kubernetes_would_take_every_object(case: str) -> None:
    assert [line for one in objects(case) for line in mistakes(one)] == []


@each
def test_the_longest_name_of_a_release_fits_everything_called_after_it(case: str) -> None:
    made = rendered(CASES[case], name="h" * 36)

    assert list(findings(made)) == []
    assert [line for one in made for line in mistakes(one)] == []


def test_a_longer_name_is_refused() -> None:
    with pytest.raises(HelmError, match="at most 36"):
        rendered(CASES["trial"], name="h" * 37)


def test_a_schema_sees_a_misspelt_field() -> None:
    one = next(of(rendered(CASES["trial"]), "Deployment"))
    one["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}

    assert any("redinessProbe" in line for line in mistakes(one))


def test_a_schema_of_others_sees_a_misspelt_field() -> None:
    one = next(of(rendered(CASES["gateway api"]), "HTTPRoute"))
    one["spec"]["rules"][0]["backends"] = []

    assert any("backends" in line for line in mistakes(one))


def test_every_kind_that_the_chart_can_make_is_judged() -> None:
    """A template whose condition no case meets would be judged by nobody."""
    made = {kind(one) for case in CASES for one in objects(case)}

    assert made >= {
        "ConfigMap", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy",
        "PersistentVolumeClaim", "Pod", "PodDisruptionBudget", "PrometheusRule", "Secret", "Service", "ServiceAccount",
        "ServiceMonitor", "StatefulSet",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "payments.url"),
        ({"payments": {"url": "http://p", "sandbox": {"enabled": True}}}, "exclude each other"),
        ({**CASES["trial"], "redis": {"enabled": False}}, "externalRedis.existingSecret"),
        ({**CASES["trial"], "postgresql": {"enabled": False}}, "externalDatabases.analytics.existingSecret"),
        ({**CASES["trial"], "gatewayApi": {"enabled": True}}, "gatewayApi.parentRefs"),
    ],
)
def test_values_that_cannot_work_are_refused_with_what_to_set(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HelmError, match=words):
        rendered(values)


def test_the_sandbox_alone_runs_as_development() -> None:
    for case in CASES:
        maps = {name(one): one["data"] for one in of(objects(case), "ConfigMap")}
        for workload in workloads(objects(case)):
            for container in workload.containers:
                told = dict(container.environment)
                for source in container.spec.get("envFrom", ()):
                    told |= maps[source["configMapRef"]["name"]]
                if container.service is not None and told:
                    expected = "development" if container.program == "cortex_order.sandbox" else "production"
                    assert told["CORTEX_ENV"] == expected, container.where
