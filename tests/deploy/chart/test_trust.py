"""A private authority is mounted where TLS is spoken, and named by the variables that the clients read."""

from typing import Any

import pytest
from helm_python import HelmError

from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import Workload, workloads
from scripts.kubernetes.rules import findings

from .trial import EXTERNAL, TRIAL, Render

FILE = "/etc/cortex/secrets/trust.pem"
STORES = {
    "payments": {"url": "https://pay.example"},
    "redis": {"enabled": False},
    "externalRedis": {"existingSecret": "theirs"},
    "postgresql": {"enabled": False},
    "externalDatabases": EXTERNAL,
}
SOURCES = {"existingSecret": "secret", "existingConfigMap": "configMap"}


def speaking(values: dict[str, Any]) -> list[Workload]:
    made = [each for each in workloads(rendered({**STORES, **values})) if each.component != "test"]
    assert {each.object["kind"] for each in made} == {"Deployment", "Job"}
    return made


@pytest.mark.parametrize("of", SOURCES)
def test_every_service_and_every_migration_has_it(of: str) -> None:
    for each in speaking({"trust": {of: "authorities", "key": "bundle.pem"}}):
        (secrets,) = (volume for volume in each.spec["volumes"] if volume["name"] == "secrets")
        source = {"name": "authorities", "items": [{"key": "bundle.pem", "path": "trust.pem"}]}
        assert {SOURCES[of]: source} in secrets["projected"]["sources"], each.where
        (mount,) = (mount for mount in each.containers[0].spec["volumeMounts"] if mount["name"] == "secrets")
        assert (mount["mountPath"], mount["readOnly"]) == ("/etc/cortex/secrets", True)


def test_every_client_is_told_of_it(objects: Render) -> None:
    values = {**STORES, "trust": {"existingSecret": "authorities"}}
    names = {"SSL_CERT_FILE", "PGSSLROOTCERT"}

    for each in speaking(values):
        told = dict(each.containers[0].environment)
        for source in each.containers[0].spec.get("envFrom", ()):
            told |= objects(values)["ConfigMap", source["configMapRef"]["name"]]["data"]
        assert {name: told.get(name) for name in names} == dict.fromkeys(names, FILE), each.where


def test_without_one_nobody_hears_of_it() -> None:
    assert "trust.pem" not in str([each.object for each in speaking({})])


def test_no_rule_is_broken_by_it() -> None:
    assert list(findings(rendered({**STORES, "trust": {"existingSecret": "authorities"}}))) == []


def test_one_place_has_it(objects: Render) -> None:
    with pytest.raises(HelmError, match=r"trust.existingSecret and trust.existingConfigMap exclude each other"):
        objects({**STORES, "trust": {"existingSecret": "a", "existingConfigMap": "b"}})


def test_another_authority_makes_a_migration_another_job() -> None:
    """A Job cannot be changed."""
    names = [
        {each.object["metadata"]["name"] for each in workloads(rendered({**TRIAL, "trust": trust}))}
        for trust in ({}, {"existingSecret": "authorities"})
    ]

    assert len(names[0] ^ names[1]) == 2 * 3
