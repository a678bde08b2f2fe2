"""How each deployment places the six services, in one form: what Compose, the chart, k8s/ and the CLI can be held by.

Owns reading each of them. Refuses to judge: tests/deploy/test_agreement.py compares.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from scripts.kubernetes.objects import Container, Object, at, name, of, workloads

ROOT: Final = Path(__file__).parents[2]
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Placement:
    """One service in one deployment. `ready` and `live` are where it is asked, `:port/path`; `mounts` its folders."""

    image: str
    program: str
    ports: frozenset[int]
    ready: str
    live: str
    environment: Mapping[str, str]
    mounts: frozenset[str]


def compose_file(*names: str) -> Object:
    """The files of the tree's root, the later ones over the first as far as `services` have ports."""
    whole: Object = yaml.load((ROOT / names[0]).read_text(), _LOADER)
    for each in names[1:]:
        for service, more in yaml.load((ROOT / each).read_text(), _LOADER)["services"].items():
            found = whole["services"][service]
            found["ports"] = [*found.get("ports", ()), *more.get("ports", ())]
    return whole


def of_compose(whole: Object) -> dict[str, Placement]:
    """By the name of the container: those of images of ours that stay. Its health check asks for readiness."""
    return {
        service: _of_compose(spec)
        for service, spec in whole["services"].items()
        if str(spec.get("image", "")).startswith("cortex-hub/") and spec.get("restart") != "no"
    }


def _of_compose(spec: Object) -> Placement:
    image = str(spec["image"]).removeprefix("cortex-hub/").partition(":")[0]
    entry = [str(part) for part in spec.get("entrypoint", ())]
    health = [str(part) for part in at(spec, "healthcheck").get("test", ())]
    port = int(health[-1])
    program = entry[entry.index("-m") + 1] if "-m" in entry else f"cortex_{image}.main"
    mounts = frozenset(str(volume).split(":")[1] for volume in spec.get("volumes", ()))
    environment = {key: str(value) for key, value in at(spec, "environment").items()}
    return Placement(image, program, frozenset({port}), f":{port}/health/ready", "", environment, mounts)


def published(whole: Object) -> dict[str, set[tuple[int, int]]]:
    """(port of this machine, port of the container) by service, defaults in place of variables."""
    found: dict[str, set[tuple[int, int]]] = {}
    for service, spec in whole["services"].items():
        for line in spec.get("ports", ()):
            plain = re.sub(r"\$\{[A-Z_]+:-([0-9]+)\}", r"\1", str(line))
            _, here, there = plain.split(":")
            found.setdefault(service, set()).add((int(here), int(there)))
    return found


def of_kubernetes(objects: Sequence[Object]) -> dict[str, Placement]:
    """By component: the Deployments of images of ours."""
    maps = {name(one): at(one, "data") for one in of(objects, "ConfigMap")}
    found = {}
    for workload in workloads(objects):
        for container in workload.containers:
            if workload.stays and container.service is not None:
                found[workload.component] = _of_kubernetes(container, maps)
    return found


def _of_kubernetes(container: Container, maps: Mapping[str, Object]) -> Placement:
    told = {key: str(value) for key, value in container.environment.items()}
    for source in container.spec.get("envFrom", ()):
        told |= maps[source["configMapRef"]["name"]]
    return Placement(
        image=str(container.service),
        program=str(container.program),
        ports=frozenset(container.ports.values()),
        ready=_asked(container, "readinessProbe"),
        live=_asked(container, "livenessProbe"),
        environment=told,
        mounts=frozenset(mount["mountPath"] for mount in container.spec.get("volumeMounts", ())),
    )


def _asked(container: Container, probe: str) -> str:
    http = at(container.spec, probe, "httpGet")
    port = http.get("port")
    return f":{container.ports.get(str(port), port)}{http['path']}" if http else ""


def addresses(objects: Sequence[Object]) -> dict[str, set[int]]:
    """The ports of each Service."""
    return {name(one): {port["port"] for port in at(one, "spec").get("ports", ())} for one in of(objects, "Service")}
