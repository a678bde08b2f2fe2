"""The inventory as a page: every figure that the hub has, for who writes panels and alerts of his own."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from scripts.dashboards.inventory import SERVICES, Family


def page(families: Sequence[Family]) -> str:
    return "\n".join(_lines(families)) + "\n"


def _lines(families: Sequence[Family]) -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "<!-- Made by `make dashboards` from what the services measure (observability/metrics.json). -->"
    yield ""
    yield (
        "What each service shows at `/metrics`. Beside the labels named here every series has those of the scrape:\n"
        "`job`, `service`, `instance`. How to look at them: [figures, traces and lines](observability.md)."
    )
    for title, group in groupby(sorted(families, key=_order), key=_title):
        yield from ("", f"## {title}", "", "| metric | kind | labels | what |", "|---|---|---|---|")
        for family in group:
            labels = ", ".join(f"`{label}`" for label in family.labels)
            yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"


def _order(family: Family) -> tuple[int, str, str]:
    """What all have first, then what several have, then what one has."""
    return -len(family.services), _title(family), family.name


def _title(family: Family) -> str:
    return "Every service" if family.services == SERVICES else ", ".join(family.services)
