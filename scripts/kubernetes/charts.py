"""The chart, rendered without a helm binary: the same Go code as helm's, through helm-python-sdk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from helm_python import Chart

from scripts.kubernetes.objects import Object, read

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "cortex-hub"


def rendered(
    values: Mapping[str, Any], *, name: str = "hub", namespace: str = "hub", upgrade: bool = False
) -> list[Object]:
    """The objects of an installation, or of an upgrade. Raises helm_python.HelmError with what helm would say."""
    with Chart.load(CHART) as chart:
        files = chart.render(
            dict(values),
            name=name,
            namespace=namespace,
            is_install=not upgrade,
            is_upgrade=upgrade,
            revision=1 + upgrade,
        )
    return [one for path, text in sorted(files.items()) if not path.endswith("NOTES.txt") for one in read(text)]
