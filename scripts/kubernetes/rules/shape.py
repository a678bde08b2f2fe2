"""Rules of every object: where it lives, what it is called, its labels, and how hooks and Jobs leave."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from scripts.kubernetes.objects import Object, annotations, at, kind, name, namespaced, of, where, workloads

_LABELS: Final = ("name", "instance", "part-of")
_HOOK: Final = "helm.sh/hook"
_DATA: Final = 1 << 20  # bytes: what the API server takes of one ConfigMap or Secret


def names_are_taken_once(objects: Sequence[Object]) -> Iterator[str]:
    """No two objects of one kind have one name."""
    counted = Counter((one.get("apiVersion", "").partition("/")[0], kind(one), name(one)) for one in objects)
    yield from (
        f"{found}/{called}: is there {count} times" for (_, found, called), count in counted.items() if count > 1
    )


def names_are_names(objects: Sequence[Object]) -> Iterator[str]:
    """Names are DNS names: of 63 characters where they are a DNS label (Services) or a pod's label (Jobs), else of 253;
    those of StatefulSets leave room for what is appended."""
    for one in objects:
        most = 63 if kind(one) in {"Service", "Job"} else 253
        if re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name(one)) is None or len(name(one)) > most:
            yield f"{where(one)}: is no name"
        if kind(one) in {"StatefulSet", "CronJob"} and len(name(one)) > 52:
            yield f"{where(one)}: its pods' names would be too long"


def objects_stay_in_their_namespace(objects: Sequence[Object]) -> Iterator[str]:
    """Every object is of the release's namespace: none names another's, none is the whole cluster's."""
    spaces = Counter(str(at(one, "metadata").get("namespace") or "") for one in objects if namespaced(one))
    usual = spaces.most_common(1)[0][0] if spaces else ""
    for one in objects:
        if not namespaced(one):
            if kind(one) != "Namespace":
                yield f"{where(one)}: is the whole cluster's"
        elif str(at(one, "metadata").get("namespace") or "") != usual:
            yield f"{where(one)}: is in the namespace {at(one, 'metadata').get('namespace')!r}, the others in {usual!r}"


def objects_are_labelled(objects: Sequence[Object]) -> Iterator[str]:
    """Every object and every pod has the recommended labels; workloads and their pods a component too."""
    for one in objects:
        labels = at(one, "metadata", "labels")
        missing = [label for label in _LABELS if f"app.kubernetes.io/{label}" not in labels]
        if missing and kind(one) != "Namespace":
            yield f"{where(one)}: has no label {', '.join(missing)}"
    for workload in workloads(objects):
        for label in ("name", "instance", "component"):
            if f"app.kubernetes.io/{label}" not in workload.labels:
                yield f"{workload.where}: its pods have no label {label}"
        fixed = dict(at(workload.object, "spec", "selector", "matchLabels"))
        if "app.kubernetes.io/version" in fixed or "helm.sh/chart" in fixed:
            yield f"{workload.where}: its selector holds the version, and can never be upgraded"


def hooks_are_cleaned_up(objects: Sequence[Object]) -> Iterator[str]:
    """Every hook says when it is deleted, and a Job how often it is tried and for how long it may run."""
    for one in objects:
        if _HOOK in annotations(one) and "helm.sh/hook-delete-policy" not in annotations(one):
            yield f"{where(one)}: is a hook without a delete policy"
    for one in of(objects, "Job"):
        spec = at(one, "spec")
        for field in ("backoffLimit", "activeDeadlineSeconds"):
            if field not in spec:
                yield f"{where(one)}: has no {field}"


def changed_configuration_rolls(objects: Sequence[Object]) -> Iterator[str]:
    """Pods of the hub's services carry checksums, so that a changed ConfigMap or Secret replaces them."""
    for workload in workloads(objects):
        if workload.stays and any(each.program == f"cortex_{each.service}.main" for each in workload.containers):
            notes = at(workload.template, "metadata", "annotations")
            if not any(key.startswith("checksum/") for key in notes):
                yield f"{workload.where}: its pods have no checksum of their configuration"


def data_fits(objects: Sequence[Object]) -> Iterator[str]:
    """A ConfigMap or Secret is smaller than the API server's bound."""
    for one in of(objects, "ConfigMap", "Secret"):
        size = sum(
            len(str(value).encode())
            for field in ("data", "stringData", "binaryData")
            for value in at(one, field).values()
        )
        if size > _DATA:
            yield f"{where(one)}: has {size} bytes; the API server takes {_DATA}"


RULES = (
    names_are_taken_once,
    names_are_names,
    objects_stay_in_their_namespace,
    objects_are_labelled,
    hooks_are_cleaned_up,
    changed_configuration_rolls,
    data_fits,
)
