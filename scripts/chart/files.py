"""All that `make render` writes: path below the repository's root → text. Tests compare, the command writes."""

from pathlib import Path

from scripts.chart import manifests, schema, topology, values_reference


def inputs(root: Path) -> dict[str, str]:
    """What the chart reads: it has to be written before the chart can be rendered."""
    values = (root / "helm/cortex-hub/values.yaml").read_text()
    made = {
        "helm/cortex-hub/files/topology.yaml": topology.generate(root / "topology.toml"),
        "helm/cortex-hub/values.schema.json": schema.generate(values),
        "docs/deploy/values.md": values_reference.generate(values),
    }
    for folder, pattern, target in (
        ("observability/grafana/dashboards", "*.json", "dashboards"),
        ("observability/prometheus/rules", "*.yml", "rules"),
    ):
        for file in sorted((root / folder).glob(pattern)):
            made[f"helm/cortex-hub/{target}/{file.name}"] = file.read_text()
    return made


def outputs(root: Path) -> dict[str, str]:
    """What is rendered of the chart."""
    return {f"k8s/{path}": text for path, text in manifests.sets(root).items()}


def strays(root: Path, known: set[str]) -> list[Path]:
    """Files in the made folders that nothing makes any more."""
    made = [*root.glob("k8s/*.yaml"), *root.glob("helm/cortex-hub/dashboards/*"), *root.glob("helm/cortex-hub/rules/*")]
    return [file for file in made if str(file.relative_to(root)) not in known]
