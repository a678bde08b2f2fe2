"""k8s/: the chart rendered for those who have no helm: a flat set for a trial, a kustomize overlay for dev and prod.

Owns which values make which set (k8s/values) and how objects are put into files. Refuses sets that would hold a secret.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

RELEASE: Final = "hub"
_HEADER: Final = "# Made by `make render` from helm/cortex-hub and k8s/values/{}.yaml. Do not edit.\n"
_OF_HELM: Final = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
_ORDER: Final = ("secrets", "redis", "postgresql", "payments", "migrations", "network-policies")


def rendered(chart: Path, values: Mapping[str, Any], namespace: str) -> str:
    """What `helm template hub CHART --namespace NAMESPACE` prints, without Helm. Raises HelmError."""
    from helm_python import Chart

    with Chart.load(chart) as loaded:
        files = loaded.render(dict(values), name=RELEASE, namespace=namespace, is_install=True)
    return "\n---\n".join(text for path, text in sorted(files.items()) if path.endswith(".yaml"))


def objects(text: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each object, and its own text: not dumped anew, so that comments stay."""
    for part in re.split(r"^---\s*$", text, flags=re.MULTILINE):
        document = yaml.safe_load(part)
        if document:
            yield document, "\n".join(line.rstrip() for line in part.strip().splitlines()) + "\n"


def sets(root: Path) -> dict[str, str]:
    """Path below k8s/ → text: all that `make render` writes there."""
    chart, values = root / "helm/cortex-hub", root / "k8s/values"
    files = {}
    for name, text in _grouped(chart, values / "trial.yaml", "cortex-hub").items():
        files[name] = _HEADER.format("trial") + text
    files["00-namespace.yaml"] = _namespace("cortex-hub", "trial")
    for overlay in ("dev", "prod"):
        groups = _grouped(chart, values / f"{overlay}.yaml", f"cortex-hub-{overlay}")
        files[f"overlays/{overlay}/hub.yaml"] = _HEADER.format(overlay) + "---\n".join(groups.values())
        files[f"overlays/{overlay}/namespace.yaml"] = _namespace(f"cortex-hub-{overlay}", overlay)
    return files


def _grouped(chart: Path, values: Path, namespace: str) -> dict[str, str]:
    """A file for each component, without Helm's own labels."""
    groups: dict[str, list[str]] = {}
    for document, text in objects(rendered(chart, yaml.safe_load(values.read_text()), namespace)):
        if document["kind"] == "Secret":
            raise ValueError(
                f"{values.name}: {document['metadata']['name']} would be in the repository: secrets.by: job"
            )
        groups.setdefault(_component(document), []).append(_OF_HELM.sub("", text))
    first = sorted(groups, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return {f"{name}.yaml": "---\n".join(groups[name]) for name in first}


def _component(document: Mapping[str, Any]) -> str:
    if document["kind"] == "NetworkPolicy":
        return "network-policies"
    return str(document["metadata"]["labels"]["app.kubernetes.io/component"])


def _namespace(name: str, values: str) -> str:
    return _HEADER.format(values) + (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n"
        f"  name: {name}\n"
        "  labels:\n"
        "    app.kubernetes.io/part-of: cortex-hub\n"
        "    pod-security.kubernetes.io/enforce: restricted\n"
    )
