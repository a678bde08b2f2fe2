"""One hub, told five times: topology.toml, Compose, the chart, k8s/ and the CLI agree on services, ports, images,
programs, variables and probes. topology.toml is the source; the services' own settings say which variables there are.
"""

import importlib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from cortex_cli.plan import plan
from cortex_cli.state import State
from cortex_cli.topology import Topology, read_topology
from cortex_core.testing import free_row
from scripts.kubernetes.charts import rendered
from scripts.kubernetes.objects import Object, read
from scripts.kubernetes.placements import (
    Placement,
    addresses,
    compose_file,
    of_compose,
    of_kubernetes,
    published,
)
from scripts.kubernetes.rules.secrets import variables

ROOT = Path(__file__).parents[2]
TOPOLOGY: dict[str, Any] = tomllib.loads((ROOT / "topology.toml").read_text())
SERVICES: dict[str, Any] = TOPOLOGY["services"]
HELPERS: dict[str, Any] = TOPOLOGY["helpers"]
DEPLOYMENTS = ("compose", "chart", "k8s")
everywhere = pytest.mark.parametrize("deployment", DEPLOYMENTS)
each = pytest.mark.parametrize("service", SERVICES)


@cache
def objects(deployment: str) -> list[Object]:
    if deployment == "chart":
        return rendered({"payments": {"sandbox": {"enabled": True}}})
    return [one for path in sorted((ROOT / "k8s").glob("*.yaml")) for one in read(path.read_text())]


@cache
def placed(deployment: str) -> Mapping[str, Placement]:
    if deployment == "compose":
        return of_compose(compose_file("docker-compose.yml"))
    return of_kubernetes(objects(deployment))


@everywhere
def test_there_are_the_services_and_their_helpers_and_no_other(deployment: str) -> None:
    assert placed(deployment).keys() == SERVICES.keys() | HELPERS.keys()


@everywhere
@each
def test_a_service_is_its_image_and_its_program(deployment: str, service: str) -> None:
    found = placed(deployment)[service]

    assert (found.image, found.program) == (service, SERVICES[service]["module"])


@everywhere
def test_a_helper_is_a_program_of_the_image_it_helps(deployment: str) -> None:
    for helper, entry in HELPERS.items():
        found = placed(deployment)[helper]
        assert (found.image, found.program) == (entry["with"], entry["module"])
        told = placed(deployment)[entry["with"]].environment[entry["url_env"]]
        address = urlsplit(re.sub(r"\$\{[A-Z_]+:-(.*)\}", r"\1", told))
        assert str(address.hostname).removeprefix("hub-") == helper
        assert address.port in found.ports


def ports(service: str, told: Mapping[str, str]) -> set[int]:
    """The topology's, and one for figures alone where a deployment has set it."""
    entry, figures = SERVICES[service], told.get(f"{service.upper()}_METRICS_PORT")
    return {entry["port"], entry.get("exporter_port", entry["port"]), *([int(figures)] if figures else [])}


@everywhere
@each
def test_a_service_listens_where_the_topology_says(deployment: str, service: str) -> None:
    found, port = placed(deployment)[service], SERVICES[service]["port"]
    known = ports(service, found.environment)

    assert port in found.ports
    assert found.ports <= known
    if deployment != "compose":
        reached = addresses(objects(deployment))[f"hub-{service}"]
        assert port in reached
        assert reached <= known


@each
def test_compose_publishes_the_plan_s_ports(service: str) -> None:
    entry = SERVICES[service]
    ports = {entry["port"], entry.get("exporter_port", entry["port"])}

    found = published(compose_file("docker-compose.yml", "docker-compose.dev.yml"))

    assert found[service] == {(port, port) for port in ports}


def test_no_two_published_ports_are_one() -> None:
    found = published(compose_file("docker-compose.yml", "docker-compose.dev.yml"))

    here = [port for ports in found.values() for port, _ in ports]
    assert sorted(here) == sorted(set(here))


@everywhere
@each
def test_a_service_is_told_nothing_that_it_does_not_know(deployment: str, service: str) -> None:
    assert placed(deployment)[service].environment.keys() - variables(service) == set()


@everywhere
@each
def test_a_service_is_told_where_its_needs_are(deployment: str, service: str) -> None:
    needs, told = SERVICES[service]["needs"], placed(deployment)[service].environment
    prefix = service.upper()

    assert "CORTEX_REDIS_URL_FILE" in told
    assert (f"{prefix}_DATABASE_URL_FILE" in told) is ("database" in needs)
    assert (f"{prefix}_PAYMENT_URL" in told) is ("payments" in needs)
    assert (f"{prefix}_BLOCKS_DIR" in told) is ("blocks" in needs)
    if "blocks" in needs:
        assert told[f"{prefix}_BLOCKS_DIR"] in placed(deployment)[service].mounts


@everywhere
def test_the_gateway_is_told_where_each_service_is(deployment: str) -> None:
    told = placed(deployment)["gateway"].environment

    for service, entry in SERVICES.items():
        if service != "gateway":
            address = urlsplit(told[f"GATEWAY_{service.upper()}_URL"])
            assert str(address.hostname).removeprefix("hub-") == service
            assert address.port == entry["port"]


@everywhere
def test_the_signing_key_is_the_gateway_s_and_the_others_know_its_other_half(deployment: str) -> None:
    for service in SERVICES:
        told = placed(deployment)[service].environment
        assert ("CORTEX_INTERNAL_SIGNING_KEY" in told) is (service == "gateway")
        assert "CORTEX_INTERNAL_KEYS" in told or service == "gateway"


@everywhere
@each
def test_readiness_and_life_are_asked_where_the_chassis_answers(deployment: str, service: str) -> None:
    found, port = placed(deployment)[service], SERVICES[service]["port"]
    served = importlib.import_module("inspect").getsource(importlib.import_module("cortex_core.chassis.probes"))

    assert found.ready == f":{port}/health/ready"
    assert found.live in {f":{port}/health/live", ""}
    assert '"/health/ready"' in served
    assert '"/health/live"' in served


def test_the_chart_s_copy_is_the_topology() -> None:
    copied = yaml.safe_load((ROOT / "helm" / "cortex-hub" / "files" / "topology.yaml").read_text())["services"]
    figures = {name: entry.pop("metrics_port") for name, entry in copied.items() if "metrics_port" in entry}

    wanted = {
        name: {key: value for key, value in entry.items() if key in {"port", "needs", "exporter_port"}}
        for name, entry in SERVICES.items()
    }
    assert copied == wanted
    for service, port in figures.items():
        assert placed("chart")[service].environment[f"{service.upper()}_METRICS_PORT"] == str(port)


def test_the_command_line_starts_the_same_services(tmp_path: Path) -> None:
    whole = read_topology().on_ports_from(free_row(len(SERVICES) + 1))
    programs = {program.name: program for program in plan(whole, whole, State(tmp_path)) if program.kind == "service"}

    assert programs.keys() == SERVICES.keys()
    for name, program in programs.items():
        assert SERVICES[name]["module"] in program.argv
        theirs = {key for key in program.env if key.startswith(("CORTEX_", *(f"{each.upper()}_" for each in SERVICES)))}
        assert {key for key in theirs if key.startswith(f"{name.upper()}_")} <= variables(name)
        for need, variable in (("database", "DATABASE_URL"), ("blocks", "BLOCKS_DIR"), ("payments", "PAYMENT_URL")):
            assert (f"{name.upper()}_{variable}" in program.env) is (need in SERVICES[name]["needs"])


def test_the_command_line_knows_the_topology_s_ports() -> None:
    whole: Topology = read_topology()

    assert {(each.name, each.port, each.module, each.exporter_port) for each in whole.services} == {
        (name, entry["port"], entry["module"], entry.get("exporter_port")) for name, entry in SERVICES.items()
    }
