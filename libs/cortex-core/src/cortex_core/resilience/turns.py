"""Turns in a bulkhead's queue, and how they end.

Owns the form for who cannot await a place: a protocol on the event loop, which has callbacks. Refuses to count: the
bulkhead does, for all forms alike (test_bulkhead_machine.py has both in one queue).
"""

from collections.abc import Callable

from cortex_core.kernel.clock import Timer
from cortex_core.resilience.hooks import Admission
from cortex_core.resilience.refusal import Refusal


class BulkheadFull(Refusal):
    """No place inside, none in the queue. The work never began."""

    code = "bulkhead.full"


class BulkheadTimeout(Refusal):
    """Waited for `queue_timeout`, or until the caller's deadline. The work never began."""

    code = "bulkhead.timeout"


Then = Callable[[BulkheadTimeout | None], None]


class Waiter:
    """A caller in the queue. `since` and `end` by the bulkhead's clock; `outcome` is None while it waits."""

    __slots__ = ("end", "outcome", "since", "wake")

    def __init__(self, wake: Callable[[], object], since: float, end: float) -> None:
        self.wake = wake
        self.since = since
        self.end = end
        self.outcome: Admission | None = None


class Turn:
    """A place in the queue that was taken by `Bulkhead.line_up`."""

    __slots__ = ("_abandon", "_conclude", "_over", "_then", "timer", "waiter")

    waiter: Waiter

    def __init__(self, conclude: Callable[[Waiter], None], abandon: Callable[[Waiter], None], then: Then) -> None:
        self._conclude = conclude
        self._abandon = abandon
        self._then = then
        self._over = False
        self.timer: Timer | None = None

    def give_up(self) -> None:
        """Out of the queue; `then` hears nothing. After `then` was called it does nothing."""
        if self._ends():
            self._abandon(self.waiter)

    def come(self) -> None:
        """The bulkhead has made up its mind."""
        if not self._ends():
            return
        try:
            self._conclude(self.waiter)
        except BulkheadTimeout as refusal:
            self._then(refusal)
        else:
            self._then(None)

    def _ends(self) -> bool:
        if self._over:
            return False
        self._over = True
        if self.timer is not None:
            self.timer.cancel()
        return True
