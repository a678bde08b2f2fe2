"""A call that a circuit let begin, for who cannot await it: a protocol on the event loop says later how it ended."""

import asyncio
from collections.abc import Callable

from cortex_core.resilience.breaker.phases import Phase

Ended = Callable[[Phase, float, BaseException | None], None]


class Permit:
    """Ends by one of its methods, which do nothing once it has. One that never ends counts like a call that hangs."""

    __slots__ = ("_began", "_ended", "_phase")

    def __init__(self, ended: Ended, phase: Phase, began: float) -> None:
        self._ended: Ended | None = ended
        self._phase = phase
        self._began = began

    def succeeded(self) -> None:
        if (ended := self._ended) is not None:
            self._ended = None
            ended(self._phase, self._began, None)

    def failed(self, error: Exception) -> None:
        """As an error that a call raises: what it says of the callee is for the circuit's `is_failure` to say."""
        self._end(error)

    def neutral(self) -> None:
        """As a cancellation: it says nothing, unless it was slow."""
        if self._ended is not None:
            self._end(asyncio.CancelledError())

    def _end(self, error: BaseException | None) -> None:
        if (ended := self._ended) is not None:
            self._ended = None
            ended(self._phase, self._began, error)
