"""Kubernetes objects as plain dictionaries, and the few questions that rules ask of them.

Owns reading and walking. Refuses to judge: that is `rules`. What is asked for and absent is an empty dictionary, so
that a rule sees "not there" rather than a KeyError in the middle of a chart that somebody is still writing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

Object = dict[str, Any]

_TEMPLATES: Final = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
_CLUSTERS: Final = {
    "Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "APIService", "GatewayClass", "StorageClass"
}  # fmt: skip


def read(text: str) -> list[Object]:
    """The objects of a YAML stream; empty documents are none."""
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def at(thing: Any, *path: str) -> Any:
    """What stands under `path`; an empty dictionary where nothing does."""
    for part in path:
        thing = thing.get(part) if isinstance(thing, Mapping) else None
        if thing is None:
            return {}
    return thing


def kind(one: Object) -> str:
    return str(one.get("kind", ""))


def name(one: Object) -> str:
    return str(at(one, "metadata", "name") or "?")


def where(one: Object) -> str:
    """`Deployment/hub-order`: how a finding names an object."""
    return f"{kind(one)}/{name(one)}"


def namespaced(one: Object) -> bool:
    return kind(one) not in _CLUSTERS


def of(objects: Iterable[Object], *kinds: str) -> Iterator[Object]:
    return (one for one in objects if kind(one) in kinds)


def labels(one: Object) -> Mapping[str, str]:
    return dict(at(one, "metadata", "labels"))


def annotations(one: Object) -> Mapping[str, str]:
    return dict(at(one, "metadata", "annotations"))


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a workload. `init` ones run before the others; a sidecar (an init one that stays) is not one."""

    where: str
    init: bool
    spec: Object

    @property
    def name(self) -> str:
        return str(self.spec.get("name"))

    @property
    def image(self) -> str:
        return str(self.spec.get("image", ""))

    @property
    def service(self) -> str | None:
        """The hub's service whose image this is; None for another's."""
        repository = self.image.partition("@")[0]
        folder, _, last = repository.rpartition("/")
        return last.partition(":")[0] if folder.rpartition("/")[2] == "cortex-hub" else None

    @property
    def command(self) -> list[str]:
        return [str(part) for part in [*self.spec.get("command", ()), *self.spec.get("args", ())]]

    @property
    def program(self) -> str | None:
        """The module that runs: the image's own, or the one after `-m` of a command that replaces it."""
        command = [str(part) for part in self.spec.get("command", ())]
        if not command:
            return f"cortex_{self.service}.main" if self.service else None
        return command[command.index("-m") + 1] if "-m" in command[:-1] else None

    @property
    def ports(self) -> dict[str, int]:
        return {
            str(port.get("name", port["containerPort"])): port["containerPort"] for port in self.spec.get("ports", ())
        }

    @property
    def environment(self) -> dict[str, Any]:
        return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in self.spec.get("env", ())}


@dataclass(frozen=True, slots=True)
class Workload:
    """Whatever makes pods: their labels, their specification, how many."""

    object: Object
    template: Object

    @property
    def where(self) -> str:
        return where(self.object)

    @property
    def labels(self) -> dict[str, str]:
        return dict(at(self.template, "metadata", "labels"))

    @property
    def spec(self) -> Object:
        return dict(at(self.template, "spec"))

    @property
    def component(self) -> str:
        return self.labels.get("app.kubernetes.io/component", "?")

    @property
    def stays(self) -> bool:
        """It serves, rather than does one thing and ends."""
        return kind(self.object) in {"Deployment", "StatefulSet", "DaemonSet"}

    @property
    def held_together(self) -> bool:
        """All its pods have to be on one node, as where their volume is that node's."""
        wanted = at(self.spec, "affinity", "podAffinity").get("requiredDuringSchedulingIgnoredDuringExecution", ())
        return any(
            each.get("topologyKey") == "kubernetes.io/hostname" and selects(each.get("labelSelector"), self.labels)
            for each in wanted
        )

    @property
    def containers(self) -> list[Container]:
        every = []
        for field in ("initContainers", "containers"):
            for spec in self.spec.get(field, ()):
                init = field == "initContainers" and spec.get("restartPolicy") != "Always"
                every.append(Container(f"{self.where}[{spec.get('name')}]", init, spec))
        return every

    @property
    def ports(self) -> dict[str, int]:
        """By name, of all containers."""
        return {name: port for container in self.containers for name, port in container.ports.items()}


def workloads(objects: Iterable[Object]) -> list[Workload]:
    found = []
    for one in objects:
        path = _TEMPLATES.get(kind(one))
        if path is not None:
            found.append(Workload(one, at(one, *path) if path else one))
    return found


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """As Kubernetes' LabelSelector: an empty one selects all, none at all selects nothing."""
    if selector is None:
        return False
    wanted = dict(at(selector, "matchLabels"))
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(each, labels) for each in selector.get("matchExpressions", ()))


def _expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"a label selector has no operator {expression['operator']!r}")


def selected(objects: Sequence[Object], selector: Mapping[str, Any] | None) -> list[Workload]:
    return [workload for workload in workloads(objects) if selects(selector, workload.labels)]
