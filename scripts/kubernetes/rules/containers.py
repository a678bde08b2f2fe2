"""Rules of one container: what it may do to its node, what it may use, what it is, how it is asked for its health."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from scripts.kubernetes.objects import Container, Object, at, workloads


def containers_may_do_nothing_special(objects: Sequence[Object]) -> Iterator[str]:
    """No container is privileged, gains privileges or keeps a capability; its root is read-only."""
    for container in _all(objects):
        context = at(container.spec, "securityContext")
        if context.get("privileged"):
            yield f"{container.where}: is privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{container.where}: allowPrivilegeEscalation is not false"
        if at(context, "capabilities").get("drop") != ["ALL"] or at(context, "capabilities").get("add"):
            yield f"{container.where}: capabilities are not dropped: [ALL]"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{container.where}: readOnlyRootFilesystem is not true"


def containers_have_bounds(objects: Sequence[Object]) -> Iterator[str]:
    """Every container requests CPU and memory, and has limits of both that are not below."""
    for container in _all(objects):
        requests, limits = (at(container.spec, "resources", each) for each in ("requests", "limits"))
        for resource in ("cpu", "memory"):
            if resource not in requests:
                yield f"{container.where}: requests no {resource}"
            if resource not in limits:
                yield f"{container.where}: has no limit of {resource}"
            if (
                resource in requests
                and resource in limits
                and quantity(requests[resource]) > quantity(limits[resource])
            ):
                yield f"{container.where}: requests more {resource} than its limit"


def images_are_pinned(objects: Sequence[Object]) -> Iterator[str]:
    """Every image has a tag or a digest, and the tag is not `latest`."""
    for container in _all(objects):
        image, _, digest = container.image.partition("@")
        tag = image.rpartition("/")[2].partition(":")[2]
        if not digest and tag in {"", "latest"}:
            yield f"{container.where}: the image {container.image!r} is whatever it is today"


def probes_differ(objects: Sequence[Object]) -> Iterator[str]:
    """What serves is asked whether it started, is ready, and is alive; alive is never asked of what it depends on."""
    for workload in workloads(objects):
        if not workload.stays:
            continue
        for container in workload.containers:
            if container.init:
                continue
            probes = {each: container.spec.get(each) for each in ("startupProbe", "readinessProbe", "livenessProbe")}
            for missing in (each for each, probe in probes.items() if not probe):
                yield f"{container.where}: has no {missing}"
            if container.service and container.program == f"cortex_{container.service}.main":
                yield from _of_a_service(container, probes)


def _of_a_service(container: Container, probes: dict[str, Any]) -> Iterator[str]:
    wanted = {
        "startupProbe": {"/health/live", "/health/ready"},
        "readinessProbe": {"/health/ready"},
        "livenessProbe": {"/health/live"},
    }
    for field, paths in wanted.items():
        asked = at(probes[field] or {}, "httpGet")
        if asked.get("path") not in paths:
            yield f"{container.where}: {field} asks {asked.get('path')}, not {' or '.join(sorted(paths))}"
        if asked.get("port") not in {*container.ports, *container.ports.values()}:
            yield f"{container.where}: {field} asks the port {asked.get('port')}, which the container does not have"


def temporary_files_are_bounded(objects: Sequence[Object]) -> Iterator[str]:
    """Every emptyDir has a size limit, and whatever is mounted is a volume of the pod."""
    for workload in workloads(objects):
        volumes = {volume["name"]: volume for volume in workload.spec.get("volumes", ())}
        claimed = {
            at(each, "metadata").get("name") for each in at(workload.object, "spec").get("volumeClaimTemplates", ())
        }
        for name, volume in volumes.items():
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{workload.where}: the emptyDir {name} has no sizeLimit"
        for container in workload.containers:
            for mount in container.spec.get("volumeMounts", ()):
                if mount["name"] not in volumes.keys() | claimed:
                    yield f"{container.where}: mounts {mount['name']}, which is no volume of the pod"


_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def quantity(text: Any) -> float:
    """Kubernetes' `500m`, `256Mi`. Raises ValueError for what is none."""
    found = re.fullmatch(r"([0-9.]+)(m|[kMGT]i?|Ki)?", str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _UNITS[found[2] or ""]


def _all(objects: Sequence[Object]) -> Iterator[Container]:
    for workload in workloads(objects):
        yield from workload.containers


RULES = (
    containers_may_do_nothing_special,
    containers_have_bounds,
    images_are_pinned,
    probes_differ,
    temporary_files_are_bounded,
)
