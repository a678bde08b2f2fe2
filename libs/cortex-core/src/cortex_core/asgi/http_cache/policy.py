"""What a cache is told: bounds, and what to do with answers that say nothing of themselves."""

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cortex_core.asgi.types import Scope

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+\-.^_`|~]*", re.ASCII)  # RFC 9651: a structured field's token
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_CREDENTIALS: Final = ("authorization", "x-api-key", "x-cortex-principal")


@dataclass(frozen=True, slots=True)
class CacheRule:
    """For requests whose path is `prefix` or below it and, where given, that `matches` says yes to. `/a/` is only what
    is below `/a`, `/` everything.

    `bypass`: the cache neither answers nor stores. `ttl`: seconds that an answer below 400 without a lifetime of its
    own is fresh; by itself it never overrides what an answer says, nor makes public what must not be.

    `surrogate`: for an answer below 400 `ttl` takes the place of what it says of caches, but for `no-store`; clients
    are shown what it says. `authorised`: whoever gets as far as the cache may have what any other of the tenant may, so
    that a credential is no reason not to keep an answer. Both are for routes of ours, one by one.
    """

    prefix: str = "/"
    matches: Callable[[Scope], bool] | None = None
    bypass: bool = False
    ttl: float | None = None
    surrogate: bool = False
    authorised: bool = False

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/"):
            raise ValueError(f"prefix must begin with a slash, not {self.prefix!r}")
        if self.ttl is not None:
            _seconds("ttl", self.ttl)
        elif self.surrogate:
            raise ValueError("surrogate needs a ttl")

    def applies(self, scope: Scope) -> bool:
        path, prefix = scope["path"], self.prefix
        below = prefix[-1] == "/" or path[len(prefix) : len(prefix) + 1] in {"", "/"}
        return path.startswith(prefix) and below and (self.matches is None or self.matches(scope))


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Seconds and bytes throughout. Raises ValueError, which names the argument.

    `name`: ours in `Cache-Status`. `origin`: `https://api.example`, what all requests are taken to be for; None: what
    the request says (scheme and Host), so that two hosts never share an answer. `rules`: the first that applies.
    `max_body`: a longer body passes through and is not stored. `etag`: an answer of declared length without a
    validator gets a strong one. `cookies`: answers that set cookies may be stored, cookie and all. `heuristic`: the
    part of the time since `Last-Modified` that an answer without a lifetime is fresh. `stale_if_error`: where the
    answer says nothing of it. `validation`: how long after its lifetime an answer is kept, to be validated.
    `collapse_wait`: how long one request waits for the answer to another's; `refreshes`: how many revalidations run
    behind clients' backs, each for at most `refresh_timeout`. `credentials`: request headers that say who
    asks, as a principal in the context does. `client_may_refresh`: request directives are honoured; False: a client
    cannot make us ask the application. `tag_header`: where answers carry their tags; clients see it if `expose_tags`.
    `unstored`: headers of one exchange, never stored. `date=False`: the server writes a `Date` on every
    answer itself (uvicorn does), so none of ours goes out; `Age` says what it must.
    """

    name: str = "cortex"
    origin: str | None = None
    rules: Sequence[CacheRule] = ()
    max_body: int = 1024 * 1024
    etag: bool = False
    cookies: bool = False
    heuristic: float = 0.0
    stale_if_error: float = 0.0
    validation: float = 3600.0
    collapse_wait: float = 10.0
    refreshes: int = 64
    refresh_timeout: float = 30.0
    credentials: Collection[str] = _CREDENTIALS
    client_may_refresh: bool = True
    tag_header: str = "cache-tag"
    expose_tags: bool = False
    unstored: Collection[str] = ("x-request-id",)
    date: bool = True

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.name):
            raise ValueError(f"name must be a structured field's token, not {self.name!r}")
        if self.origin is not None:
            if not _ORIGIN.fullmatch(self.origin):
                raise ValueError(f"origin must be a scheme and a host, not {self.origin!r}")
            object.__setattr__(self, "origin", normal_origin(self.origin))
        if not _FIELD_NAME.fullmatch(self.tag_header):
            raise ValueError(f"tag_header must be a header's name, not {self.tag_header!r}")
        for name in ("credentials", "unstored"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        for name in ("max_body", "refreshes"):
            whole_number(name, getattr(self, name), 0)
        for name in ("stale_if_error", "validation", "collapse_wait", "refresh_timeout"):
            _seconds(name, getattr(self, name))
        if not (is_number(self.heuristic) and self.heuristic <= 1):
            raise ValueError(f"heuristic must be between 0 and 1, not {self.heuristic}")


def normal_origin(origin: str) -> str:
    """In lower case, without the port that its scheme has anyway (RFC 9110, 4.2.3)."""
    scheme, _, place = origin.lower().partition("://")
    host, colon, port = place.rpartition(":")
    return f"{scheme}://{host}" if colon and port in {"", _DEFAULT_PORTS.get(scheme)} else f"{scheme}://{place}"


def whole_number(name: str, value: object, least: int) -> None:
    """Raises ValueError for what is none, or less."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")


def is_number(value: object) -> bool:
    """Finite, and not negative."""
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _names(name: str, value: Collection[str]) -> frozenset[str]:
    if isinstance(value, str | bytes):
        raise ValueError(f"{name} must be a collection of names, not {value!r}")  # noqa: TRY004 - as all bad settings
    return frozenset(each.lower() for each in value)


def _seconds(name: str, value: float) -> None:
    if not is_number(value):
        raise ValueError(f"{name} must be a finite number of seconds from 0, not {value}")
