"""docs/deploy/commands.md, by its own commands, and a dead letter that they find and delete."""

import json

from scripts.kubernetes.cluster import Namespace, eventually

from .page import do
from .release import NAME, Release
from .sightings import Sightings

REDIS = "REDISCLI_AUTH=$(cat /etc/redis/auth/password) redis-cli"


def test_the_commands_of_the_page_are_answered(hub: Release, seen: Sightings) -> None:
    said = do("On Kubernetes", hub.namespace, "commands.md")

    groups = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert "analytics" in {group["group"] for group in groups}
    assert "order: orders generation" in said
    assert "PONG" in said
    assert "order: ready" in said
    seen("commands.md", f"{len(groups)} groups, projections, both stores and a probe answered")


def test_a_dead_letter_is_found_and_deleted_from_any_service(hub: Release) -> None:
    """Asked of gateway, about analytics."""
    hub.namespace.kubectl(
        "exec", f"{NAME}-redis-0", "--", "sh", "-c", f"{REDIS} xadd cortex:public:events:order '*' event nonsense"
    )

    [letter] = eventually(lambda: _nonsense(hub.namespace), within=60, what="the dead letter")
    assert letter["code"]

    _by_hand(hub.namespace, "drop", letter["entry"])
    assert _nonsense(hub.namespace) == []


def _nonsense(namespace: Namespace) -> list[dict[str, str]]:
    """Ours, among the letters that other tests have left."""
    letters = [json.loads(line) for line in _by_hand(namespace, "list").splitlines()]
    return [each for each in letters if each.get("raw") == "nonsense"]


def _by_hand(namespace: Namespace, verb: str, *words: str) -> str:
    program = ("python", "-m", "cortex_gateway.main", "events", "dead-letters", verb, "analytics", *words)
    return namespace.kubectl("exec", f"deployment/{NAME}-gateway", "--", *program)
