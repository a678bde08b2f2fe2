"""NetworkPolicies mean here what they mean to Kubernetes: who may connect to whom, in one namespace, at a port."""

from typing import Any

import pytest

from scripts.kubernetes.network import may_connect
from scripts.kubernetes.objects import Object, Workload


def pod(name: str, port: int = 80) -> Workload:
    ports = [{"name": "http", "containerPort": port}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "ports": ports}]}}
    return Workload({"kind": "Pod", "metadata": {"name": name}}, template)


def policy(app: str, **spec: Any) -> Object:
    selector = {"matchLabels": {"app": app}} if app else {}
    return {"kind": "NetworkPolicy", "metadata": {"name": app}, "spec": {"podSelector": selector, **spec}}


def allowed(*policies: Object, port: int = 80) -> bool:
    return may_connect(policies, pod("client"), pod("server"), port, namespace="hub")


def ingress(**rule: Any) -> Object:
    return policy("server", policyTypes=["Ingress"], ingress=[rule])


FROM_CLIENT = [{"podSelector": {"matchLabels": {"app": "client"}}}]


def test_without_a_policy_everybody_may() -> None:
    assert allowed()


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_one_direction_denied_is_denied(direction: str) -> None:
    assert not allowed(policy("", policyTypes=[direction]))


def test_another_s_policy_is_not_one_s_own() -> None:
    assert allowed(policy("other", policyTypes=["Ingress", "Egress"]))


def test_who_is_named_may() -> None:
    assert allowed(ingress(**{"from": FROM_CLIENT}))
    assert not allowed(ingress(**{"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}))


def test_policies_add_up() -> None:
    assert allowed(policy("", policyTypes=["Ingress"]), ingress(**{"from": FROM_CLIENT}))


def test_the_way_out_needs_leave_too() -> None:
    assert not allowed(policy("client", policyTypes=["Egress"]), ingress(**{"from": FROM_CLIENT}))


@pytest.mark.parametrize(
    ("ports", "may"),
    [
        ([], True),
        ([{"port": 80}], True),
        ([{"port": "http"}], True),
        ([{"port": 81}], False),
        ([{"port": "metrics"}], False),
        ([{"port": 80, "protocol": "UDP"}], False),
        ([{"protocol": "TCP"}], True),
    ],
)
def test_ports_by_number_and_by_name(ports: list[Object], may: bool) -> None:
    assert allowed(ingress(**{"from": FROM_CLIENT, "ports": ports})) is may


@pytest.mark.parametrize(
    ("peer", "may"),
    [
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hub"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}, False),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "other"}}}, False),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, False),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, False),
    ],
)
def test_peers_by_namespace_and_by_address(peer: Object, may: bool) -> None:
    assert allowed(ingress(**{"from": [peer]})) is may


def test_a_policy_that_names_no_types_is_one_of_ingress() -> None:
    assert not allowed(policy("server"))
    assert allowed(policy("client"))
