"""The commands of a page of docs/deploy, run as they stand there."""

from collections.abc import Mapping

from scripts.compose.page import commands
from scripts.kubernetes.cluster import Namespace, run

from .release import ROOT


def do(
    heading: str,
    namespace: Namespace,
    page: str = "upgrade-and-rollback.md",
    instead: Mapping[str, str] | None = None,
    **env: str,
) -> str:
    """What those under `heading` print, with other words for some: where they name what is not the test's. Raises
    Failed where one of them fails."""
    said = commands(ROOT / "docs" / "deploy" / page, heading)
    for word, other in (instead or {}).items():
        if word not in said:
            raise KeyError(word)
        said = said.replace(word, other)
    told = "\n".join(f"export {name}={value}" for name, value in {"NAMESPACE": namespace.name, **env}.items())
    script = f"cd {ROOT}\n{told}\n{said}"
    return run(["bash", "-euo", "pipefail", "-c", script], timeout=640)
