"""`Cache-Control` (RFC 9111, section 5.2), read so that a mistake in it never makes an answer fresher or more public.

A directive that is there counts whatever its argument: `no-cache="x"` and `private="x"` are `no-cache` and `private`
for the whole answer, as RFC 9111 lets caches treat them. Seconds that are no number, negative, or said twice with
different values are 0, which is stale (4.2.1). Seconds beyond 2³¹ are 2³¹ (1.2.2). What is longer than 8 KiB is not
read: it means `no-store`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

FOREVER: Final = 2**31
_PART = re.compile(
    r'(?P<name>[^,="]*)(?P<equals>=(?P<value>"(?:[^"\\]|\\.)*"?|[^,"]*))?(?P<rest>[^,]*)(?:,|\Z)', re.DOTALL
)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_CONFLICT: Final = "\0"
_REMEMBERED: Final = 256  # characters: what is said in earnest is shorter, and nobody may fill the memory with the rest
_READ: Final = 8_192


class Directives:
    """Names in lower case; arguments as sent, without their quotes."""

    __slots__ = ("_found",)

    def __init__(self, found: Mapping[str, str | None]) -> None:
        self._found = found

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __repr__(self) -> str:
        return f"Directives({dict(self._found)!r})"

    def argument(self, name: str) -> str | None:
        """The argument of a directive; None where it has none or is not there."""
        return self._found.get(name)

    def seconds(self, name: str) -> int | None:
        """0 … 2³¹; None where the directive is not there."""
        if name not in self._found:
            return None
        return _seconds(self._found[name]) or 0

    def valid_seconds(self, name: str) -> int | None:
        """The same, and None where the argument is no number: for what loosens when it is taken for a number."""
        return _seconds(self._found.get(name))


NONE: Final = Directives({})
_UNREADABLE: Final = Directives({"no-store": None})


def cache_control(text: str | None) -> Directives:
    """Never raises. Lines of the field are joined with commas before."""
    if not text:
        return NONE
    if len(text) <= _REMEMBERED:
        return _remembered(text)
    return _parse(text) if len(text) <= _READ else _UNREADABLE


def _parse(text: str) -> Directives:
    found: dict[str, str | None] = {}
    for match in _PART.finditer(text):
        name = match["name"].strip(" \t").lower()
        if not name:
            continue
        value = _argument(match)
        found[name] = value if found.get(name, value) == value else _CONFLICT
    return Directives(found)


_remembered = lru_cache(maxsize=2048)(_parse)


def _argument(match: re.Match[str]) -> str | None:
    if match["equals"] is None:
        return None
    value = match["value"]
    if match["name"].endswith((" ", "\t")) or match["rest"].strip(" \t"):
        return _CONFLICT  # `max-age =1`, `max-age="1"2`: no argument that anybody could mean
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))
    return value.rstrip(" \t")


def _seconds(argument: str | None) -> int | None:
    if argument is None or not _DIGITS.fullmatch(argument):
        return None
    return FOREVER if len(argument) > 10 else min(int(argument), FOREVER)
