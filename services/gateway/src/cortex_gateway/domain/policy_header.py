"""`Cortex-Policy`: which policies decided about a request, as a dictionary of RFC 9651, for developers.

`route="/api/orders/{orderId}", lane=express, auth=jwt, scope="orders:read", rate="default", cache=hit, upstream=order,
retry=idempotent`. Names nobody: the method of a credential is told, never whose it is.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, Protocol

NAME: Final = b"cortex-policy"
Lane = Literal["express", "asgi"]


class Decided(Protocol):
    """What is read of a route of the table."""

    @property
    def path(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def requires(self) -> str | None: ...
    @property
    def retry(self) -> str: ...


_IDEMPOTENT: Final = frozenset({"GET", "HEAD"})
_TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+\-.^_`|~]*", re.ASCII)


@lru_cache(maxsize=1024)
def policy_of(route: Decided, method: str, lane: Lane, auth: str, cache: str, rate: str) -> bytes:
    """`auth` is how the caller showed who it is (`jwt`, `api-key`, `anonymous`, `none`); `cache` what became of that:
    `hit`, RFC 9211's reason for asking the service, or `none` where the route has no caching; `rate` the limit that it
    counted against, or `none`. `upstream` is whose route it is, also where nobody was asked."""
    members = {
        "route": _string(route.path),
        "lane": lane,
        "auth": _token(auth),
        **({"scope": _string(route.requires)} if route.requires is not None else {}),
        "rate": _string(rate),
        "cache": _token(cache),
        "upstream": _token(route.service),
        "retry": _token(route.retry if method in _IDEMPOTENT else "never"),
    }
    return ", ".join(f"{name}={value}" for name, value in members.items()).encode("ascii")


def cache_outcome(cache_status: bytes | None, name: bytes) -> str:
    """What `Cache-Status` says of our own cache: `hit`, its reason to forward, `none` where it says nothing."""
    for entry in (cache_status or b"").split(b","):
        who, *said = (part.strip() for part in entry.split(b";"))
        if who == name:
            if b"hit" in said:
                return "hit"
            reason = next((part for part in said if part.startswith(b"fwd=")), b"fwd=none")
            return reason.removeprefix(b"fwd=").decode("latin-1")
    return "none"


def counted_against(limit_headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The limit that `RateLimit` tells of, `none` where it is not among them."""
    value = next((value for name, value in limit_headers if name == b"ratelimit"), b"")
    return value[1:].partition(b'"')[0].decode("latin-1") or "none"


def _string(text: str) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _token(text: str) -> str:
    return str(text) if _TOKEN.fullmatch(text) else "unknown"
