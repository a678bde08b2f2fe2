"""Header fields as a cache handles them: lists joined, hop-by-hop ones left out, `Vary` made into a key."""

import hashlib
import re
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Final

from cortex_core.asgi.types import Headers

HOP_BY_HOP: Final = frozenset(  # RFC 9110, 7.6.1, and RFC 9111, 3.1: between two neighbours, not of the answer
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_ANY_CASE: Final = frozenset({"accept", "accept-charset", "accept-encoding", "accept-language"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
EVERYTHING: Final = "*"


class Fields(tuple[tuple[bytes, bytes], ...]):
    """Header fields that are asked for by name again and again: a hit does so some thirty times."""

    @cached_property
    def by_name(self) -> dict[bytes, str]:
        index: dict[bytes, str] = {}
        for name, value in self:
            text = value.decode("latin-1")
            index[name] = f"{index[name]}, {text}" if name in index else text
        return index


def joined(headers: Headers, name: bytes) -> str | None:
    """All lines of `name` (lower case) as one list; None where there is none. Values are latin-1."""
    if isinstance(headers, Fields):
        return headers.by_name.get(name)
    found = [value for key, value in headers if key == name]
    return b", ".join(found).decode("latin-1") if found else None


def lower_names(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The same fields; ASGI asks servers and applications for lower case, and not all listen."""
    return [(name.lower(), value) for name, value in headers]


def end_to_end(headers: Headers, without: Collection[bytes] = ()) -> list[tuple[bytes, bytes]]:
    """`headers` but those of one connection, the ones that `Connection` names, and `without`."""
    headers = list(headers)
    named = {part.strip().lower().encode("latin-1") for part in (joined(headers, b"connection") or "").split(",")}
    return [(name, value) for name, value in headers if name not in HOP_BY_HOP | named and name not in without]


def vary_names(headers: Headers) -> tuple[str, ...] | None:
    """The names that `Vary` lists: lower case, sorted, each once.

    None: `*`, or no list of names; it matches nothing.
    """
    parts = [part.strip(" \t").lower() for part in (joined(headers, b"vary") or "").split(",")]
    names = {part for part in parts if part}
    if EVERYTHING in names or not all(_NAME.fullmatch(name) for name in names):
        return None
    return tuple(sorted(names))


def variant(names: Iterable[str], headers: Headers) -> str:
    """The secondary key (RFC 9111, 4.1): what `headers` say to each of `names`. Equal keys mean the same selection."""
    headers = headers if isinstance(headers, Fields) else list(headers)
    return repr([(name, _normal(name, joined(headers, name.encode("latin-1")))) for name in names])


def digest(text: str) -> str:
    """Short, for what is remembered by a name of any length."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _normal(name: str, value: str | None) -> str | None:
    """White space around list members means nothing; nor does letter case and order in a list of preferences."""
    if value is None or '"' in value:  # a quoted comma is no separator: rather a miss than the wrong variant
        return value
    members = [member for part in value.split(",") if (member := part.strip(" \t"))]
    if name in _ANY_CASE:
        members = sorted(re.sub(r"[ \t]*;[ \t]*", ";", member.lower()) for member in members)
    return ", ".join(members)
