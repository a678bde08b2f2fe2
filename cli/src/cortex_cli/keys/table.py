"""Keys as lines, for people and for `grep`: one a key, and no word of it is broken.

Where a terminal is too narrow for that, a key has a second line, whose scopes alone may fold.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.cells import cell_len

_COLUMNS: Final = ("key", "status", "plan", "last used", "name", "scopes")


def lines_of(keys: Sequence[Any], width: int | None) -> Iterator[str]:
    """`width` is the terminal's; None: there is none, and lines are as long as they are."""
    rows = [_COLUMNS, *(_row(key) for key in keys)]
    widths = [max(cell_len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = [_aligned(row, widths) for row in rows]
    if width is None or max(cell_len(line) for line in lines) <= width:
        yield from lines
        return
    for *first, name, scopes in rows:
        yield _aligned(first, widths)
        yield from textwrap.wrap(
            f"{name}: {scopes}",
            width,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _row(key: Any) -> tuple[str, ...]:
    used = (key["lastUsedAt"] or "never")[:16].replace("T", " ")
    said = (key["keyId"], key["status"], key["plan"] or "-", used, key["name"], ", ".join(key["scopes"]))
    return tuple(_plain(each) for each in said)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False))
    return "  ".join(cells).rstrip()


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
