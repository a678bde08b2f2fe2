"""Byte ranges (RFC 9110, section 14): which part of a file a request asks for."""

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes=(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})|-(?P<suffix>[0-9]{1,18}))", re.ASCII)


class RangeNotSatisfiable(Exception):
    """The range begins behind the end."""


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start (included) and stop (excluded) within a file of `size` bytes. None for the whole file: also where the
    header makes no sense, has another unit, or asks for several ranges, which the RFC allows to answer with everything.

    Raises RangeNotSatisfiable.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    if match["suffix"] is not None:
        start, stop = max(0, size - int(match["suffix"])), size
    else:
        start = int(match["first"])
        stop = min(size, int(match["last"]) + 1) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None  # malformed rather than unsatisfiable, says the RFC
    if start >= size or start >= stop:
        raise RangeNotSatisfiable
    return start, stop


def matches(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names `etag` (weak comparison, as the RFC has it for this header)."""
    if header is None:
        return False
    named = [candidate.strip().removeprefix("W/") for candidate in header.split(",")]
    return "*" in named or etag in named
