"""Which coding a client gets: RFC 9110 section 12.5.3, and nothing of what the response is.

A malformed element of the header is as good as absent; the others still count. Nothing raises.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_QVALUE: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)
_CODING: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_ALIASES: Final = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_REMEMBERED: Final = 256  # bytes: every browser's header is shorter, and nobody may fill the memory with longer ones


class Choice(NamedTuple):
    """`coding`: the name of the one to use, None for none. `identity`: whether the bytes may go out as they are."""

    coding: str | None
    identity: bool


UNASKED: Final = Choice(None, True)


def negotiate(header: str | None, offered: Sequence[str]) -> Choice:
    """What `Accept-Encoding: header` (None: absent) makes of `offered`, which stands in the server's own order.

    The highest weight wins, among equals the first of `offered`; identity only where the client weighs it higher than
    everything offered. An absent header accepts anything, so it gets what everybody can read: identity. Where identity
    is refused and nothing offered is acceptable, the answer is `Choice(None, False)`: 406.
    """
    if not header:
        return UNASKED
    order = tuple(offered)
    return _remembered(header, order) if len(header) <= _REMEMBERED else _negotiate(header, order)


def _negotiate(header: str, offered: tuple[str, ...]) -> Choice:
    asked = weights(header)
    rest = asked.get("*", 0.0)
    best, coding = 0.0, None
    for name in offered:
        weight = asked.get(name, rest)
        if weight > best:
            best, coding = weight, name
    identity = asked.get("identity", asked.get("*"))
    if identity is not None and identity > best:
        return UNASKED
    return Choice(coding, identity != 0.0)


_remembered: Final = lru_cache(maxsize=512)(_negotiate)


def weights(header: str) -> dict[str, float]:
    """Every well-formed element of the header by its lower-case name; of a name that comes twice, the first."""
    found: dict[str, float] = {}
    for element in header.split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        weight = _weight(parameters)
        if weight is not None and _CODING.fullmatch(name):
            lower = name.lower()
            found.setdefault(_ALIASES.get(lower, lower), weight)
    return found


def _weight(parameters: list[str]) -> float | None:
    """1.0 without a parameter, None where there is one that is no weight."""
    if not parameters:
        return 1.0
    name, separator, value = parameters[0].partition("=")
    if len(parameters) > 1 or not separator or name.lower() != "q" or not _QVALUE.fullmatch(value):
        return None
    return float(value)
