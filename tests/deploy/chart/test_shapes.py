"""What the API server would refuse, when half of a release is there, the schema refuses before."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helm_python import HelmError

from .trial import TRIAL, Render

SCHEMA = json.loads((Path(__file__).parents[3] / "helm/cortex-hub/values.schema.json").read_text())
CHOSEN_FREELY = {
    "auth.token.plan",  # these two are looked up among those that there are
    "auth.token.tenant",
    "auth.issuer.name",
    "auth.issuer.audience",
    "secrets.revision",
}
"""Texts that only the hub reads."""
KUBERNETES_OWN = {"nodeAffinity", "podAffinity", "podAntiAffinity", "global"}
NETWORK = "networkPolicy.externalTo.stores"


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if schema.get("type") == "array":
        yield from leaves(schema["items"], path)
    elif "properties" in schema or "patternProperties" in schema:
        for key, each in schema.get("properties", {}).items():
            if key != "settings":  # the services' own
                yield from leaves(each, f"{path}.{key}" if path else key)
    else:
        yield path, schema


def test_every_text_and_number_has_a_shape() -> None:
    loose = {
        path
        for path, schema in leaves(SCHEMA)
        if path.rpartition(".")[2] not in KUBERNETES_OWN
        and "enum" not in schema
        and "const" not in schema
        and schema.get("type") != "boolean"
        and not ("pattern" in schema and "string" in schema["type"])
        and not ({"minimum", "exclusiveMinimum"} & schema.keys() and "string" not in schema["type"])
    }

    assert {path for path in loose if not path.endswith(".tolerationSeconds")} == CHOSEN_FREELY


REFUSED = [
    ("ingress.className", "NGINX_!"),
    ("ingress.className", "a..b"),
    ("ingress.host", "192.0.2.1"),
    ("redis.storageClass", "a.-b"),
    ("redis.size", 0),
    ("redis.size", "0Gi"),
    ("redis.size", "1ki"),
    ("postgresql.existingRoleSecrets.order", "Order"),
    ("postgresql.maxConnections", 300000),
    ("serviceDefaults.probes.liveness.successThreshold", 2),
    ("serviceDefaults.probes.startup.successThreshold", 2),
    ("serviceDefaults.probes.readiness.periodSeconds", 2**31),
    ("serviceDefaults.resources.requests.cpu", -1),
    ("serviceDefaults.rollingUpdate.maxUnavailable", "101%"),
    ("serviceDefaults.disruption.maxUnavailable", "101%"),
    ("serviceDefaults.autoscaling.external.metric", "a/b"),
    ("serviceDefaults.autoscaling.external.averageValue", "0"),
    ("serviceDefaults.tolerations", [{"operator": "Equals", "key": "a"}]),
    ("serviceDefaults.tolerations", [{"value": "a"}]),
    ("serviceDefaults.tolerations", [{"operator": "Exists", "key": "a", "value": "b"}]),
    ("serviceDefaults.tolerations", [{"key": "a", "effect": "Never"}]),
    ("serviceDefaults.affinity", {"nodeAfinity": {}}),
    ("serviceDefaults.podAnnotations", {"a..b/c": "x"}),
    ("global.tolerations", [{"key": "a b"}]),
    ("global.imagePullSecrets", ["login"]),
    ("global.imagePullSecrets", [{"name": "A"}]),
    ("gatewayApi.parentRefs", [{"namespace": "gateways"}]),
    ("gatewayApi.parentRefs", [{"name": "public", "namespace": "a.b"}]),
    (NETWORK, [{}]),
    (NETWORK, [{"ipBlock": {"cidr": "192.0.2.1"}}]),
    (NETWORK, [{"ipBlock": {"cidr": "192.0.2.0/24"}, "podSelector": {}}]),
    (NETWORK, [{"namespaceSelector": {"matchLabel": {}}}]),
    (NETWORK, [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]),
    ("payments.url", "https://pay.example:65536"),
    ("payments.url", "https://"),
    ("metrics.prometheusRule.runbookBaseUrl", "git.example"),
    ("metrics.serviceMonitor.labels", {"app.kubernetes.io/name": "x"}),
    ("trust.key", "a/b"),
    ("trust.existingConfigMap", "A"),
]


def nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def with_trial(path: str, value: Any) -> dict[str, Any]:
    found = nested(path, value)
    return {**TRIAL, **found, "payments": {**TRIAL["payments"], **found.get("payments", {})}}


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=[f"{path}={value}" for path, value in REFUSED])
def test_what_the_api_server_would_refuse_is_refused_by_its_path(objects: Render, path: str, value: Any) -> None:
    with pytest.raises(HelmError) as refused:
        objects(with_trial(path, value))

    assert f"at '/{path.replace('.', '/')}" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ingress.className", "nginx.example.org"),
        ("ingress.host", "1hub.2.example"),
        ("redis.size", "512Ki"),
        ("redis.size", "0.5Gi"),
        ("serviceDefaults.probes.readiness.successThreshold", 2),
        ("serviceDefaults.rollingUpdate.maxSurge", "150%"),
        ("serviceDefaults.disruption.maxUnavailable", "100%"),
        ("serviceDefaults.resources.limits.cpu", None),
        ("serviceDefaults.tolerations", [{"operator": "Exists"}]),
        (
            "serviceDefaults.tolerations",
            [{"key": "a.b/c", "value": "d", "effect": "NoExecute", "tolerationSeconds": 9}],
        ),
        ("global.imagePullSecrets", [{"name": "login.example"}]),
        (NETWORK, [{"ipBlock": {"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}}]),
        (NETWORK, [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "redis"}}}]),
        ("tracing.otlpEndpoint", "http://[2001:db8::1]:4318/x"),
        ("tracing.otlpEndpoint", "http://user:word@collector:65535"),
    ],
)
def test_what_it_would_take_is_taken(objects: Render, path: str, value: Any) -> None:
    assert objects(with_trial(path, value))


@pytest.mark.parametrize("key", ["cpu", "memory"])
@pytest.mark.parametrize("amounts", [(None, None), (0, 1)], ids=["nothing said", "none asked for"])
def test_percent_of_nothing_is_refused(objects: Render, key: str, amounts: tuple[int | None, int | None]) -> None:
    resources = {"requests": {key: amounts[0]}, "limits": {key: amounts[1]}}
    order = {"resources": resources, "autoscaling": {key: 70}}

    with pytest.raises(HelmError, match=rf"services.order.autoscaling.{key} is percent of resources.requests.{key}"):
        objects({**TRIAL, "serviceDefaults": {"resources": resources}, "services": {"order": order}})


def test_a_limit_alone_is_a_request_too(objects: Render) -> None:
    bare = {"resources": {"requests": {"cpu": None}}}

    assert objects({**TRIAL, "serviceDefaults": bare, "services": dict.fromkeys(("gateway", "order", "compute"), bare)})
