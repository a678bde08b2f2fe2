"""What the cache tells whoever listens: frozen facts to callables. It knows neither metrics nor logs.

A hook that raises is logged and never breaks an answer.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

T = TypeVar("T")

_log = logging.getLogger("cortex_core.asgi.http_cache")


class Outcome(StrEnum):
    """How a request was answered."""

    HIT = "hit"  # from the store, fresh
    STALE = "stale"  # from the store, past its lifetime: while revalidating, on an error, or because the client said so
    REVALIDATED = "revalidated"  # from the store, after the application answered 304
    MISS = "miss"  # by the application, and looked for in the store before
    BYPASS = "bypass"  # by the application; the store was not asked


@dataclass(frozen=True, slots=True)
class AnswerDetails:
    """One request. `forward` is RFC 9211's reason for asking the application (`uri-miss` …), None where nobody did.

    `collapsed`: it waited for another request's answer and got that. `age` in seconds, where it came from the store.
    """

    outcome: Outcome
    tenant: str
    method: str
    path: str
    status: int
    forward: str | None = None
    collapsed: bool = False
    age: float | None = None


@dataclass(frozen=True, slots=True)
class StoredDetails:
    """An answer of `size` bytes is kept for `keep` seconds; `kept` is False where it was invalidated in flight, or the
    store did not answer."""

    tenant: str
    path: str
    size: int
    keep: float
    kept: bool


@dataclass(frozen=True, slots=True)
class InvalidatedDetails:
    """`count` keys went: of an address that an unsafe method changed, or of `tags`."""

    tenant: str
    tags: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class CacheErrorDetails:
    """`work` failed, and nobody was there to be told: `refresh` behind a client's back, `invalidate` after a change."""

    work: str
    error: BaseException


class CacheHooks(Protocol):
    """Called on the task that answers: all of them must be quick."""

    def on_answer(self, details: AnswerDetails, /) -> None: ...
    def on_stored(self, details: StoredDetails, /) -> None: ...
    def on_invalidated(self, details: InvalidatedDetails, /) -> None: ...
    def on_error(self, details: CacheErrorDetails, /) -> None: ...


class LoggingHooks:
    """What speaks where nobody else listens: trouble goes to the standard logging, the rest stays silent."""

    def on_answer(self, details: AnswerDetails, /) -> None: ...
    def on_stored(self, details: StoredDetails, /) -> None: ...
    def on_invalidated(self, details: InvalidatedDetails, /) -> None: ...

    def on_error(self, details: CacheErrorDetails, /) -> None:
        _log.warning("%s: %r", details.work, details.error)


def tell(hook: Callable[[T], None], details: T) -> None:
    """Calls a hook, which cannot hurt."""
    try:
        hook(details)
    except Exception:  # noqa: BLE001 - whatever a listener does wrong must not cost a client its answer
        _log.exception("a cache hook failed")
