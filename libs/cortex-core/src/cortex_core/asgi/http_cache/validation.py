"""Asking whether a stored answer still holds, and what a 304 does to it (RFC 9111, 4.3 and 3.2)."""

from dataclasses import replace
from typing import Final

from cortex_core.asgi.conditional import entity_tag
from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import Fields, end_to_end, joined
from cortex_core.asgi.http_cache.serving import dated

PRECONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})
CONDITIONAL: Final = PRECONDITIONS | {b"if-match", b"if-unmodified-since", b"if-range", b"range"}
_OF_THE_BODY: Final = frozenset({b"content-length", b"content-encoding", b"content-type", b"content-range"})


def request_headers(
    headers: HeaderList, stored: Answer | None, *, conditions: bool = False
) -> list[tuple[bytes, bytes]]:
    """A client's request, made for the cache's own use: all of the answer, or 304 where `stored` still holds.

    The client's conditions are the cache's to judge, over what comes back; with `conditions`, the application's.
    """
    without = CONDITIONAL - PRECONDITIONS if conditions else CONDITIONAL
    asked = [(name, value) for name, value in headers if name not in without]
    if stored is None:
        return asked
    for condition, validator in ((b"if-none-match", b"etag"), (b"if-modified-since", b"last-modified")):
        value = stored.text(validator)
        if value is not None:
            asked.append((condition, value.encode("latin-1")))
    return asked


def freshened(stored: Answer, headers: HeaderList, *, requested: float, received: float) -> Answer | None:
    """`stored` as a 304 with `headers` leaves it. None: the 304 is about another representation (RFC 9111, 4.3.4).

    Fields of the 304 replace stored ones, but those that describe the body. The stored `Age` goes: it told of then.
    """
    if not _same(stored, headers):
        return None
    news = [(name, value) for name, value in end_to_end(dated(headers, received)) if name not in _OF_THE_BODY]
    replaced = {name for name, _ in news} | {b"age"}
    kept = [(name, value) for name, value in stored.headers if name not in replaced]
    return replace(stored, headers=Fields([*kept, *news]), requested=requested, received=received)


def _same(stored: Answer, headers: HeaderList) -> bool:
    for name in (b"etag", b"last-modified"):
        theirs = joined(headers, name)
        if theirs is not None:
            if name == b"last-modified":
                return theirs == stored.text(name)
            mine, other = entity_tag(stored.text(name)), entity_tag(theirs)
            return mine is not None and other is not None and mine.opaque == other.opaque
    return True
