"""The results: tables that read the same on a terminal and as Markdown, a section an area, merged into RESULTS.md."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
PREAMBLE: Final = """\
# Results

Written by `make bench`; what is measured and how is in [README.md](README.md). A ratio is ours ÷ peer, more is better:
the median of the rounds' ratios, and in brackets the lowest and the highest. Figures do not travel between machines;
ratios mostly do.
"""
_SECTION: Final = re.compile(r"^## (?P<name>[a-z-]+)\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` and rows of as many cells; the first column is a name, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in (self.columns, *self.rows)) for i in range(len(self.columns))]
        ruler = [("-" * width if i == 0 else "-" * (width - 1) + ":") for i, width in enumerate(widths)]
        lines = [_line(self.columns, widths), "| " + " | ".join(ruler) + " |"]
        return "\n".join([f"**{self.title}**", "", *lines, *(_line(row, widths) for row in self.rows)])


@dataclass(frozen=True, slots=True)
class Section:
    """What one area has to say. `setting` is the machine, the versions, the rounds; `notes` are sentences."""

    name: str
    setting: str
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=list)

    def __str__(self) -> str:
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(part for part in (self.setting, *(str(table) for table in self.tables), notes) if part)


def sections_of(text: str) -> dict[str, str]:
    return {found["name"]: found["body"].strip() for found in _SECTION.finditer(text)}


def merged(text: str, new: Iterable[Section], order: Sequence[str]) -> str:
    """`text` with the new sections in the place of the old ones of their names. Unknown areas leave."""
    sections: Mapping[str, str] = sections_of(text) | {section.name: str(section) for section in new}
    return "\n".join([PREAMBLE, *(f"## {name}\n\n{sections[name]}\n" for name in order if name in sections)])


def write(new: Iterable[Section], order: Sequence[str]) -> None:
    old = RESULTS.read_text() if RESULTS.exists() else ""
    RESULTS.write_text(merged(old, new, order))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"
