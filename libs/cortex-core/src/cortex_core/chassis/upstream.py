"""An upstream: what stands before one service that we call, and what its errors say of it.

Owns the rule of evidence, for `ServiceClient` and for the gateway's forwarding alike. What the service did, or failed
to do in the time that this call gives it, counts; what ended the call on our side or our caller's says nothing of it.
`resilience.py` makes the blocks.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.resilience import Bulkhead, CircuitBreaker

P = ParamSpec("P")
T = TypeVar("T")

UNWELL: Final = frozenset({502, 503, 504})  # a service, or what stands before it, says that it cannot now
_ENOUGH: Final = 0.9


class UpstreamUnavailable(CortexError):
    """The service called is not there, or closed the connection."""

    code, kind = "upstream.unavailable", Kind.UNAVAILABLE


class UpstreamTimeout(CortexError):
    """The service called did not answer in time."""

    code, kind = "upstream.timeout", Kind.TIMEOUT


class OutOfTime(UpstreamTimeout):
    """Its caller's deadline was nearer than the call's own timeout: no evidence against the service."""


class Unwell(CortexError):
    """The service answered that it cannot now. Whoever made the call hands `answer` on instead."""

    code, kind = "upstream.unwell", Kind.UNAVAILABLE

    def __init__(self, answer: Any, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"answered {status}", retry_after=retry_after)
        self.answer = answer


def is_hurried(allowed: float, timeout: float) -> bool:
    """Whether a caller's deadline, which leaves `allowed` seconds, is why a call did not have its `timeout`.

    Nine tenths of it are enough: a deadline that was made from this very timeout, a hop or a few milliseconds earlier,
    must not make every call to a service that hangs look like its caller's haste.
    """
    return allowed < timeout * _ENOUGH


def is_evidence(error: Exception) -> bool | None:
    """For a circuit: True for what the service did, None for all else: our caller's haste, a body that broke off on our
    side, a mistake of ours. What a service answers is no error here."""
    if isinstance(error, UpstreamUnavailable | UpstreamTimeout | Unwell) and not isinstance(error, OutOfTime):
        return True
    return None


@dataclass(frozen=True, slots=True)
class Upstream:
    """What stands before one service."""

    breaker: CircuitBreaker
    bulkhead: Bulkhead

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Nobody waits for a place at a service whose circuit is open."""
        return await self.breaker.execute(self.bulkhead.execute, call, *args, **kwargs)
