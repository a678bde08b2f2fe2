"""Which answers may be kept (RFC 9111, section 3), by a cache that many clients share. In doubt: not."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cortex_core.asgi.http_cache.answer import HeaderList
from cortex_core.asgi.http_cache.directives import NONE, Directives, cache_control
from cortex_core.asgi.http_cache.fields import joined, vary_names
from cortex_core.asgi.http_cache.freshness import explicit_lifetime, has_validator, stale_window

CACHEABLE: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Whose default is to be cacheable (RFC 9110, 15.1), without 206."""
_WHEN_EXPLICIT: Final = frozenset({302, 307})  # cacheable where the answer itself says for how long
_NO_STORE: Final = Directives({"no-store": None})
_FOR_THE_AUTHORISED: Final = ("public", "s-maxage", "must-revalidate")  # RFC 9111, 3.5


@dataclass(frozen=True, slots=True)
class Asked:
    """What storing needs to know of a request. `credentials`: it said who it is."""

    headers: HeaderList
    credentials: bool = False


def may_store(
    asked: Asked,
    status: int,
    headers: HeaderList,
    *,
    assigned: float,
    received: float,
    cookies: bool,
    surrogate: bool = False,
) -> bool:
    """Whether the answer to a GET may be kept, if it arrives whole.

    `assigned`: the lifetime our configuration would give it, 0 for none; it never makes public what needs permission.
    `cookies`: whether an answer that sets one may be kept. `surrogate`: of what it says of caches, only `no-store`
    counts.
    """
    says = cache_control(joined(headers, b"cache-control"))
    explicit = explicit_lifetime(headers, received)
    if surrogate:
        says, explicit = (_NO_STORE if "no-store" in says else NONE), None
    if status not in CACHEABLE and not (status in _WHEN_EXPLICIT and explicit is not None):
        return False
    if "no-store" in says or "private" in says or "no-store" in cache_control(joined(asked.headers, b"cache-control")):
        return False
    if asked.credentials and not any(name in says for name in _FOR_THE_AUTHORISED):
        return False
    if not cookies and joined(headers, b"set-cookie") is not None:
        return False
    if vary_names(headers) is None or joined(headers, b"content-range") is not None:
        return False
    lasts = assigned if explicit is None else explicit
    stale = max(stale_window(says, "stale-while-revalidate"), stale_window(says, "stale-if-error"))
    return has_validator(headers) or ("no-cache" not in says and lasts + stale > 0)


def length_matches(headers: HeaderList, size: int) -> bool:
    """Whether `Content-Length`, where there is one, says what came. One that is no number says nothing that came."""
    declared = joined(headers, b"content-length")
    if declared is None:
        return True
    parts = {part.strip(" \t") for part in declared.split(",")}
    return parts == {str(size)}


def tags_of(headers: HeaderList, name: bytes, more: Collection[str] = ()) -> tuple[str, ...] | None:
    """The tags in the field `name`, separated by commas or white space, and `more`; sorted, each once.

    None where there are more than 64, or one is longer than 128 characters: an answer that could not be invalidated by
    all its tags is better not kept.
    """
    tags = sorted({*(joined(headers, name) or "").replace(",", " ").split(), *more})
    return None if len(tags) > 64 or any(len(tag) > 128 for tag in tags) else tuple(tags)
