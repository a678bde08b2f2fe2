"""What limiters tell whoever listens: frozen facts. Neither metrics nor logs are known here, and no key is told: it may
be somebody's address.

A hook that raises is logged and never changes a decision.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

_log = logging.getLogger("cortex_core.ratelimit")

D = TypeVar("D")

Source = Literal["memory", "redis", "remembered", "outage"]
"""Who refused: counts in this process, the shared ones, a refusal remembered until its time, or counts in this process
while the shared ones cannot be reached."""


@dataclass(frozen=True, slots=True)
class RefusalDetails:
    """A call was refused. `policy` is the name of the one that refused for longest; `retry_after` is in seconds."""

    policy: str
    source: Source
    retry_after: float


@dataclass(frozen=True, slots=True)
class LeaseDetails:
    """`size` tokens of a hot key were taken, to be spent in this process within `ttl` seconds."""

    policy: str
    size: int
    ttl: float


@dataclass(frozen=True, slots=True)
class OutageDetails:
    """The shared counts cannot be reached (`begun`), or can be again after `seconds`. `error` is the class's name."""

    begun: bool
    error: str = ""
    seconds: float = 0.0


class LimiterHooks(Protocol):
    """Called on the event loop, in the middle of a decision: they must be quick."""

    def on_refusal(self, details: RefusalDetails, /) -> None: ...

    def on_lease(self, details: LeaseDetails, /) -> None: ...

    def on_outage(self, details: OutageDetails, /) -> None: ...


class Unheard:
    """Nobody listens."""

    def on_refusal(self, details: RefusalDetails, /) -> None:
        pass

    def on_lease(self, details: LeaseDetails, /) -> None:
        pass

    def on_outage(self, details: OutageDetails, /) -> None:
        pass


def tell(hook: Callable[[D], None], details: D) -> None:
    try:
        hook(details)
    except Exception:  # noqa: BLE001 - whatever a listener does wrong must not let anybody in or keep anybody out
        _log.exception("a rate limit hook failed")
