"""The commands of docs/deploy/upgrade-and-rollback.md, run as they stand there."""

import re
from typing import Final

from scripts.kubernetes.cluster import Namespace, run

from .release import ROOT

_PAGE: Final = ROOT / "docs" / "deploy" / "upgrade-and-rollback.md"


def commands(heading: str) -> str:
    """Those of the blocks under `## heading`. Raises KeyError where there are none."""
    sections = re.split(r"^## ", _PAGE.read_text(), flags=re.MULTILINE)
    for section in sections:
        title, _, text = section.partition("\n")
        blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        if title == heading and blocks:
            return "".join(blocks)
    raise KeyError(heading)


def do(heading: str, namespace: Namespace) -> str:
    """What they print. Raises Failed where one of them fails."""
    script = f"cd {ROOT}\nexport NAMESPACE={namespace.name}\n{commands(heading)}"
    return run(["bash", "-euo", "pipefail", "-c", script], timeout=640)
