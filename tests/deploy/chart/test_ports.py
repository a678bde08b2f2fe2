"""Policies see the port of a pod, behind its Service: clusters differ in those of DNS and of the API server."""

from typing import Any

import pytest
from helm_python import HelmError

from .trial import EXTERNAL, TRIAL, Render

PORTS = {"dnsPorts": [53, 5353], "apiServerPorts": [16443]}
VALUES = {
    **TRIAL,
    "secrets": {"by": "job"},
    "networkPolicy": PORTS,
    "postgresql": {"enabled": False},
    "externalDatabases": EXTERNAL,
}


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"dnsPorts": []}, "at '/networkPolicy/dnsPorts': minItems"),
        ({"apiServerPorts": [0]}, "at '/networkPolicy/apiServerPorts/0': minimum"),
    ],
)
def test_no_port_and_no_such_port_are_refused(objects: Render, said: dict[str, Any], line: str) -> None:
    with pytest.raises(HelmError, match=line):
        objects({**TRIAL, "networkPolicy": said})


def ports(policy: dict[str, Any], rule: int = 0) -> list[tuple[int, str]]:
    return [(each["port"], each["protocol"]) for each in policy["spec"]["egress"][rule]["ports"]]


def test_names_are_asked_for_on_the_ports_that_are_said(objects: Render) -> None:
    made = objects(VALUES)

    wanted = [(port, protocol) for port in PORTS["dnsPorts"] for protocol in ("UDP", "TCP")]
    assert ports(made["NetworkPolicy", "hub-all-to-dns"]) == wanted
    assert ports(made["NetworkPolicy", "hub-migrations-to-external-database"], 1) == wanted


def test_the_job_that_makes_secrets_reaches_the_api_server_on_the_ports_that_are_said(objects: Render) -> None:
    assert ports(objects(VALUES)["NetworkPolicy", "hub-secrets-to-external-api-server"]) == [(16443, "TCP")]


def test_unsaid_it_reaches_the_api_servers_that_are_known(objects: Render) -> None:
    made = objects({**TRIAL, "secrets": {"by": "job"}})

    assert [port for port, _ in ports(made["NetworkPolicy", "hub-secrets-to-external-api-server"])] == [
        443, 6443, 8443, 16443
    ]  # fmt: skip
