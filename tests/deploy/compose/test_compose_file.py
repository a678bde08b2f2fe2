"""docker-compose.yml keeps its rules, agrees with the services and with .env.example; and each rule can be broken."""

import copy
import importlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.compose.rules import SCALED, broken

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
DEV_TEXT = (ROOT / "docker-compose.dev.yml").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = DOCUMENT["services"]
TOPOLOGY: dict[str, Any] = tomllib.loads((ROOT / "topology.toml").read_text())
OURS: dict[str, Any] = TOPOLOGY["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::?-((?:[^{}]|\{[^{}]*\})*))?\}")


def test_it_keeps_the_rules() -> None:
    assert broken(DOCUMENT) == []


def _set(service: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][service].__setitem__(key, value)


def _drop(service: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][service].pop(key)


def _env(service: str, **variables: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["services"][service]["environment"].update(variables)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("order", "container_name", "order"), "container_name"),
        (_set("redis", "image", "redis"), "redis's image has no tag"),
        (_set("redis", "image", "redis:latest"), "redis's image has no tag"),
        (_drop("init", "pull_policy"), "init's image would be asked of a registry"),
        (_set("order", "pull_policy", "missing"), "order's image would be asked of a registry"),
        (_set("gateway", "cpus", 2.0), "gateway does not start on one CPU"),
        (_set("gateway", "cpus", "${CORTEX_CPUS:-1.5}"), "gateway does not start on one CPU"),
        (_set("redis", "mem_limit", "256m"), "redis may use 192mb"),
        (_set("redis", "command", ["redis-server"]), "redis has no --maxmemory"),
        (_set("init", "volumes", ["${CORTEX_SECRETS:-./compose/secrets}:/own:ro"]), "in a short mount"),
        (_set("init", "volumes", [{"type": "bind", "source": "${CORTEX_SECRETS:-./x}", "target": "/own"}]),
         "init can write"),
        (_set("gateway", "ports", ["3000:3000"]), "gateway's port 3000:3000"),
        (_set("gateway", "ports", ["127.0.0.1:3000:3000"]), "gateway's port"),
        (_set("order", "ports", ["127.0.0.1:${ORDER_PORT:-3001}:3001"]), "it cannot be scaled"),
        (_drop("order", "read_only"), "order has no read_only"),
        (_drop("order", "cap_drop"), "order has no cap_drop"),
        (_set("order", "cap_add", ["NET_ADMIN"]), "order adds NET_ADMIN"),
        (_set("init", "cap_add", ["CHOWN", "SYS_ADMIN"]), "init adds SYS_ADMIN"),
        (_drop("order", "security_opt"), "order has no security_opt"),
        (_set("order", "privileged", True), "order has privileged"),
        (_set("order", "network_mode", "host"), "order is on host"),
        (_set("order", "pid", "host"), "order has pid"),
        (_set("order", "user", "0:0"), "order runs as root"),
        (_drop("order", "user"), "order runs as root"),
        (_drop("order", "mem_limit"), "order has no mem_limit"),
        (_drop("order", "cpus"), "order has no cpus"),
        (_drop("order", "pids_limit"), "order has no pids_limit"),
        (_drop("order", "logging"), "order's log grows"),
        (_set("order", "stop_grace_period", "5s"), "order is killed before"),
        (_drop("order", "healthcheck"), "order has no health check"),
        (_drop("order", "restart"), "order does not come back"),
        (_set("loki", "volumes", ["/var/run/docker.sock:/var/run/docker.sock:ro"]), "the engine's socket"),
        (_set("loki", "volumes", ["./observability/loki:/etc/loki"]), "loki can write"),
        (_set("order", "volumes", ["secrets-gateway:/run/secrets:ro"]), "order reads secrets-gateway"),
        (_set("order", "volumes", ["secrets:/run/secrets:ro"]), "order reads secrets"),
        (_set("order", "volumes", ["secrets-order:/run/secrets"]), "order mounts secrets-order"),
        (_env("order", CORTEX_KEY_PEPPER="dev-1"), "order is told CORTEX_KEY_PEPPER"),
        (_env("order", ORDER_DATABASE_URL="postgresql://order@postgres/order"), "order is told ORDER_DATABASE_URL"),
        (_env("order", ORDER_PAYMENT_URL="http://me:mine@payments"), "holds a password"),
        (_env("postgres", POSTGRES_PASSWORD="mine"), "postgres is told POSTGRES_PASSWORD"),
        (_set("redis", "command", ["redis-server", "--requirepass", "mine"]), "in its arguments"),
        (_set("redis", "networks", ["bus", "hub"]), "redis is not on the internal network"),
        (lambda document: document["networks"].update(data={}), "postgres is not on the internal network"),
        (_set("postgres", "ports", ["127.0.0.1:${POSTGRES_PORT:-5432}:5432"]), "postgres can be reached"),
        (lambda document: document["services"]["order"]["depends_on"]["redis"].update(condition="service_started"),
         "order does not wait for redis"),
        (lambda document: document["volumes"].update(left={}), "left is used by nobody"),
        (_set("redis", "volumes", ["/data"]), "anonymous"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_found(change: Callable[[dict[str, Any]], None], says: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)

    assert any(says in line for line in broken(document)), broken(document)


def test_the_six_services_are_there_with_what_they_need() -> None:
    assert set(OURS) <= set(SERVICES)
    for name, service in OURS.items():
        found = SERVICES[name]
        networks = set(found["networks"])
        assert found["healthcheck"]["test"][-2:] == [name, str(service["port"])]
        assert found["build"] == {"context": ".", "target": name, "args": {"REVISION": "${CORTEX_REVISION:-unknown}"}}
        assert found["image"] == f"cortex-hub/{name}:${{CORTEX_TAG:-dev}}"
        assert ("data" in networks) == ("database" in service["needs"])
        assert (f"{name.upper()}_DATABASE_URL_FILE" in found["environment"]) == ("database" in service["needs"])
        assert (f"{name}-migrate" in found["depends_on"]) == ("database" in service["needs"])
        assert any("blocks:" in volume for volume in found["volumes"]) == ("blocks" in service["needs"])
        assert "hub" in networks


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_knows_every_variable_that_it_is_told(name: str) -> None:
    settings = importlib.import_module(OURS[name]["module"].replace(".main", ".settings")).Settings
    known = {settings.variable(field) for field in settings.model_fields}

    for process in (name, f"{name}-migrate"):
        told = SERVICES.get(process, {}).get("environment", {})
        assert {variable.removesuffix("_FILE") for variable in told} <= known


def test_the_gateway_is_told_each_service_by_its_name_and_port() -> None:
    told = SERVICES["gateway"]["environment"]

    for name in SCALED:
        assert told[f"GATEWAY_{name.upper()}_URL"] == f"http://{name}:{OURS[name]['port']}"


def test_the_sandbox_is_where_the_order_service_looks_for_it() -> None:
    default = SERVICES["order"]["environment"]["ORDER_PAYMENT_URL"]

    assert default == "${ORDER_PAYMENT_URL:-http://payments:3010}"
    assert SERVICES["payments"]["entrypoint"][-2:] == ["--port", "3010"]
    assert TOPOLOGY["helpers"]["payments"]["module"] in SERVICES["payments"]["entrypoint"]


def test_the_developers_file_publishes_the_ports_of_the_topology() -> None:
    ports = {name: service["ports"] for name, service in yaml.safe_load(DEV_TEXT)["services"].items()}
    wanted = {
        name: [f"127.0.0.1:${{{name.upper()}_PORT:-{service['port']}}}:{service['port']}"]
        for name, service in OURS.items()
        if name != "gateway"
    }
    wanted["analytics"].append("127.0.0.1:${ANALYTICS_EXPORTER_PORT:-9090}:9090")

    assert ports == wanted


def test_no_two_things_want_one_port_by_default() -> None:
    ports = re.findall(r"127\.0\.0\.1:\$\{[A-Z_]+:-(\d+)\}", TEXT + DEV_TEXT)

    assert len(ports) == len(set(ports)) == 10


def test_it_is_one_page() -> None:
    assert TEXT.count("\n") <= 300


def test_the_versions_that_observabilitys_page_names_are_those_that_run() -> None:
    page = (ROOT / "docs/deploy/observability.md").read_text()
    told = set(re.findall(r"`([\w.-]+/[\w./-]+:v?\d[\w.]*)`", page))

    assert told == {each["image"] for each in SERVICES.values() if "observability" in each.get("profiles", ())}


def test_the_example_of_an_env_file_names_every_variable_with_its_default() -> None:
    taken = dict(VARIABLE.findall(TEXT + DEV_TEXT))
    passed = {
        name for service in SERVICES.values() for name, value in (service.get("environment") or {}).items() if not value
    }
    example = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)", example, re.MULTILINE))

    assert set(shown) == set(taken) | passed | {"COMPOSE_PROFILES"}
    assert {name: shown[name] for name in taken} == taken


def test_in_the_example_no_comment_stands_behind_a_value() -> None:
    """Compose cuts ` # …` off a value, and where the value is empty takes it for the value."""
    settings = re.findall(r"^#?([A-Z_]+)=(.*)", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert [name for name, rest in settings if re.search(r"\s|#", rest)] == []


def test_the_log_collector_takes_lines_of_its_own_project_alone() -> None:
    """Before it looks at what a line says, which anybody on the machine can write."""
    configured = yaml.safe_load((ROOT / "observability/otel-collector/logs.yml").read_text())
    unwrapped, project = configured["receivers"]["file_log"]["operators"][:2]

    assert unwrapped["type"] == "json_parser"
    assert project["type"] == "filter"
    assert project["expr"].endswith('["com.docker.compose.project"] ?? "") != "${env:PROJECT:-cortex-hub}"')
    assert SERVICES["log-collector"]["environment"] == {"PROJECT": f"${{COMPOSE_PROJECT_NAME:-{DOCUMENT['name']}}}"}


def test_profiles_are_off_unless_asked_for() -> None:
    by_profile = {name: service.get("profiles", []) for name, service in SERVICES.items()}

    assert {name for name, profiles in by_profile.items() if profiles == ["chain"]} == {"kubo", "anvil"}
    assert {name for name, profiles in by_profile.items() if profiles == ["observability"]} == {
        "prometheus", "grafana", "otel-collector", "log-collector", "jaeger", "loki",
    }  # fmt: skip
    for name, service in SERVICES.items():
        if not by_profile[name]:
            assert not any(by_profile[other] for other in service.get("depends_on", {}))
