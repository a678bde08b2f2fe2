"""One client's request on its way through the cache."""

from dataclasses import dataclass

from cortex_core.asgi.http_cache.request import Request
from cortex_core.asgi.http_cache.reuse import Verdict
from cortex_core.asgi.http_cache.store import Found
from cortex_core.asgi.types import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its way back."""

    request: Request
    scope: Scope
    receive: Receive
    send: Send


@dataclass(frozen=True, slots=True)
class Sight:
    """What the store had for a request, what may be done with that, and RFC 9211's `fwd`: why the application has to be
    asked, if it has."""

    found: Found
    verdict: Verdict | None
    reason: str
