"""The commands of a page of docs/deploy, run as they stand there."""

from scripts.compose.page import commands
from scripts.kubernetes.cluster import Namespace, run

from .release import ROOT


def do(heading: str, namespace: Namespace, page: str = "upgrade-and-rollback.md", **env: str) -> str:
    """What those under `heading` print. Raises Failed where one of them fails."""
    told = "\n".join(f"export {name}={value}" for name, value in {"NAMESPACE": namespace.name, **env}.items())
    script = f"cd {ROOT}\n{told}\n{commands(ROOT / 'docs' / 'deploy' / page, heading)}"
    return run(["bash", "-euo", "pipefail", "-c", script], timeout=640)
