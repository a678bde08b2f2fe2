"""What a dashboard says, without how Grafana spells it: boards of sections of panels of queries.

Owns the grid: 24 columns, panels from left to right, a line as high as its highest. Next: `grafana.py` writes it down.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from scripts.dashboards.promql import of_the_chosen_namespaces, zero_while_up

COLUMNS: Final = 24

Look = Literal["lines", "stacked", "stat", "states"]


@dataclass(frozen=True, slots=True)
class Query:
    """Of the namespaces that the reader has chosen. `expr` alone must find something in a hub at work, or `quiet` says
    why it may not. `otherwise` is what a panel shows then, so that nothing having happened does not look like a broken
    panel."""

    expr: str
    legend: str
    otherwise: str = ""
    quiet: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "expr", of_the_chosen_namespaces(self.expr))
        object.__setattr__(self, "otherwise", of_the_chosen_namespaces(self.otherwise))

    @property
    def text(self) -> str:
        return f"{self.expr} or {self.otherwise}" if self.otherwise else self.expr


def total(expr: str, legend: str, quiet: str = "") -> Query:
    """One line, at 0 where nothing has happened, and none where nobody is there to tell."""
    return Query(expr, legend, zero_while_up(expr), quiet)


def each(expr: str, legend: str, label: str, quiet: str = "") -> Query:
    """A line for each of what has happened; where nothing has, one at 0 that says so: `none`."""
    return Query(expr, legend, f'on() label_replace({zero_while_up(expr)}, "{label}", "none", "", "")', quiet)


@dataclass(frozen=True, slots=True)
class Panel:
    """`steps` colour it: green, and from each value on its colour; without any it is neither good nor bad. `states`
    names values (0 closed …)."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    look: Look = "lines"
    width: int = 12
    height: int = 8
    steps: Sequence[tuple[float, str]] = ()
    states: Sequence[tuple[int, str, str]] = ()
    maximum: float | None = None
    decimals: int | None = None
    to_service: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A row's title and what stands below."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Board:
    """`service`: the one that it is about; None for the hub's own."""

    uid: str
    title: str
    description: str
    sections: Sequence[Section]
    service: str | None = None
    tags: Sequence[str] = field(default=("cortex-hub",))

    def panels(self) -> Iterator[Panel]:
        for section in self.sections:
            yield from section.panels


@dataclass(frozen=True, slots=True)
class Place:
    """A panel's rectangle in columns and lines."""

    x: int
    y: int
    width: int
    height: int


def placed(panels: Sequence[Panel], top: int) -> tuple[list[tuple[Panel, Place]], int]:
    """Each with its place, and the first line below. Raises ValueError for a panel that no line has room for."""
    found: list[tuple[Panel, Place]] = []
    x, height = 0, 0
    for panel in panels:
        if panel.width > COLUMNS:
            raise ValueError(f"{panel.title} is wider than {COLUMNS} columns")
        if x + panel.width > COLUMNS:
            top, x, height = top + height, 0, 0
        found.append((panel, Place(x, top, panel.width, panel.height)))
        x, height = x + panel.width, max(height, panel.height)
    return found, top + height
