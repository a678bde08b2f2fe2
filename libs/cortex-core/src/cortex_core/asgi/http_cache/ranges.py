"""`Range` (RFC 9110, section 14) over a whole stored body: one range of bytes. Several at once, other units and
mistakes are answered whole, as a server may."""

import re
from dataclasses import dataclass

from cortex_core.asgi.conditional import entity_tag

_ONE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last`, both included. `last < first`: nothing of that is there (416)."""

    first: int
    last: int

    @property
    def satisfiable(self) -> bool:
        return self.last >= self.first


def part_of(text: str | None, size: int) -> Part | None:
    """Which part of `size` bytes is asked for; None: all of them."""
    match = _ONE.fullmatch(text or "")
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        wanted = min(int(match["last"]), size)
        return Part(size - wanted, size - 1)
    first = int(match["first"])
    if match["last"] and int(match["last"]) < first:
        return None  # a mistake, not an unsatisfiable range
    if first >= size:
        return Part(size, size - 1)
    return Part(first, min(int(match["last"]), size - 1) if match["last"] else size - 1)


def range_applies(if_range: str | None, etag: str | None) -> bool:
    """Whether `If-Range` allows a part: it is absent, or the answer's own strong tag (RFC 9110, 13.1.5). A date is not
    believed: it may be weak."""
    if if_range is None:
        return True
    theirs, mine = entity_tag(if_range), entity_tag(etag)
    return mine is not None and not mine.weak and theirs == mine
