"""Bulkhead: at most `max_concurrent` calls inside, at most `max_queue` waiting, nobody longer than `queue_timeout`.

Owns the permits, and promises that they are conserved under any cancellation (test_bulkhead_machine.py checks it
against a counting model). A permit that is given back goes straight to whoever waited longest and still wants it:
nobody who comes later slips in between. Tasks of any loop and threads wait in one queue. Refuses to know what it
protects. Next: turns.py is the queue for who cannot await; composite.py puts it in order with the others; adaptive.py
finds the number of places by itself.
"""

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current
from cortex_core.resilience.bounds import seconds, whole
from cortex_core.resilience.hooks import Admission, AdmissionDetails, OnAdmission, tell
from cortex_core.resilience.policy import Policy, settled
from cortex_core.resilience.turns import BulkheadFull, BulkheadTimeout, Then, Turn, Waiter

P = ParamSpec("P")
T = TypeVar("T")


class Bulkhead(Policy):
    """At most `max_concurrent` (≥ 1) calls at a time; `max_queue` (≥ 0) more wait their turn, first come, first served.

    A waiting caller leaves with BulkheadTimeout after `queue_timeout` seconds (≥ 0; None: no bound of its own), or at
    its context's deadline; one who finds the queue full with BulkheadFull, at once. `async with bulkhead:` and
    `with bulkhead:` hold a place for a block. A blocking call waits in its thread, by the machine's clock; on an event
    loop's thread it must not, for nobody could let it in. `on_admission` hears of every call, `on_refusal` only of
    those that do not get in. Raises ValueError for arguments out of their bounds.
    """

    def __init__(
        self,
        max_concurrent: int,
        max_queue: int = 0,
        queue_timeout: float | None = 1.0,
        *,
        name: str = "",
        clock: Clock | None = None,
        on_admission: OnAdmission | None = None,
        on_refusal: OnAdmission | None = None,
    ) -> None:
        whole("max_concurrent", max_concurrent)
        whole("max_queue", max_queue, least=0)
        if queue_timeout is not None:
            seconds("queue_timeout", queue_timeout, or_zero=True)
        self.max_concurrent = max_concurrent
        self.max_queue = max_queue
        self.queue_timeout = queue_timeout
        self.name = name
        self._clock = clock or SystemClock()
        self._on_admission = on_admission
        self._on_refusal = on_refusal
        self._lock = threading.RLock()  # reentrant: a collected coroutine gives its permit back in whatever thread runs
        self._in_use = 0
        self._line: OrderedDict[Waiter, None] = OrderedDict()  # empty while a permit is free

    @property
    def in_use(self) -> int:
        """Calls inside."""
        return self._in_use

    @property
    def permits(self) -> int:
        """Free places."""
        return self.max_concurrent - self._in_use

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return len(self._line)

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's own result or error. Raises BulkheadFull, BulkheadTimeout."""
        if not self.try_enter():
            await self._enter_in_turn()
        try:
            return await call(*args, **kwargs)
        finally:
            self.leave()

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a call that blocks its thread."""
        with self:
            return settled(call(*args, **kwargs))

    async def __aenter__(self) -> Self:
        if not self.try_enter():
            await self._enter_in_turn()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def __enter__(self) -> Self:
        if not self.try_enter():
            self._enter_in_turn_sync()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def try_enter(self) -> bool:
        """Takes a place if one is free, for who cannot await: whoever got one gives it back by `leave`."""
        with self._lock:
            if self._in_use >= self.max_concurrent:
                return False
            self._in_use += 1
        if self._on_admission is not None:
            self._tell(Admission.ADMITTED)
        return True

    def leave(self) -> None:
        """Gives back a place that was taken by `try_enter` or came by `line_up`."""
        with self._lock:
            if not self._line or not self._handed_on():
                self._in_use -= 1

    def line_up(self, then: Then) -> Turn:
        """A turn in the queue, for who cannot await: `then` hears None when its place has come, or BulkheadTimeout; on
        this loop, and not before this returns. Raises BulkheadFull."""
        loop = asyncio.get_running_loop()
        turn = Turn(self._conclude, self._abandon, then)
        waiter = turn.waiter = self._line_up(partial(loop.call_soon_threadsafe, turn.come))
        if waiter.outcome is not None:
            loop.call_soon(turn.come)
        elif waiter.end < math.inf:
            turn.timer = self._clock.call_later(waiter.end - waiter.since, partial(self._expire, waiter))
        return turn

    async def _enter_in_turn(self) -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        waiter = self._line_up(partial(loop.call_soon_threadsafe, _settle, woken))
        timer = None
        try:
            if waiter.outcome is None:
                if waiter.end < math.inf:
                    timer = self._clock.call_later(waiter.end - waiter.since, partial(self._expire, waiter))
                await woken
        except BaseException:  # cancelled, or the loop is torn down: whatever it is goes on, without us in the queue
            self._abandon(waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        self._conclude(waiter)

    def _enter_in_turn_sync(self) -> None:
        woken = threading.Event()
        waiter = self._line_up(woken.set)
        try:
            if waiter.outcome is None:
                woken.wait(None if waiter.end == math.inf else waiter.end - waiter.since)
        except BaseException:  # Ctrl-C in the main thread: as above
            self._abandon(waiter)
            raise
        self._expire(waiter)
        self._conclude(waiter)

    def _line_up(self, wake: Callable[[], object]) -> Waiter:
        """A waiter in the queue, or one that need not wait any more. Raises BulkheadFull."""
        now = self._clock.monotonic()
        waiter = Waiter(wake, now, self._last_moment(now))
        with self._lock:
            if self._in_use < self.max_concurrent:  # another thread has just left
                self._in_use += 1
                waiter.outcome = Admission.ADMITTED
            elif len(self._line) >= self.max_queue:
                waiter.outcome = Admission.FULL
            elif waiter.end <= now:
                waiter.outcome = Admission.TIMEOUT
            else:
                self._line[waiter] = None
        if waiter.outcome is Admission.FULL:
            self._tell(Admission.FULL)
            raise BulkheadFull(f"{self.max_concurrent} calls inside, {self.max_queue} waiting", bulkhead=self.name)
        return waiter

    def _last_moment(self, now: float) -> float:
        """Until when a caller who comes now may wait."""
        deadline = current().deadline
        bound = math.inf if self.queue_timeout is None else now + self.queue_timeout
        return bound if deadline is None else min(bound, deadline)

    def _handed_on(self) -> bool:
        """Gives one permit to the first of the queue who is still there and in time."""
        while self._line:
            waiter, _ = self._line.popitem(last=False)
            late = self._clock.monotonic() >= waiter.end  # the loop was too busy for its timer
            waiter.outcome = Admission.TIMEOUT if late else Admission.ADMITTED
            try:
                waiter.wake()
            except RuntimeError:  # its loop was closed over it: nobody will come
                waiter.outcome = Admission.LEFT
                continue
            if not late:
                return True
        return False

    def _expire(self, waiter: Waiter) -> None:
        with self._lock:
            if waiter.outcome is None:
                waiter.outcome = Admission.TIMEOUT
                del self._line[waiter]
                waiter.wake()

    def _abandon(self, waiter: Waiter) -> None:
        """Out of the queue, or back with the permit that came at the same moment."""
        with self._lock:
            if waiter.outcome is None:
                del self._line[waiter]
            elif waiter.outcome is Admission.ADMITTED:
                self.leave()
            waiter.outcome = Admission.LEFT
        self._tell(Admission.LEFT, waiter)

    def _conclude(self, waiter: Waiter) -> None:
        """Raises BulkheadTimeout, unless the waiter has a permit."""
        if waiter.outcome is Admission.ADMITTED:
            self._tell(Admission.ADMITTED, waiter)
            return
        self._tell(Admission.TIMEOUT, waiter)
        raise BulkheadTimeout(f"no place within {waiter.end - waiter.since:.3f} s", bulkhead=self.name)

    def _tell(self, outcome: Admission, waiter: Waiter | None = None) -> None:
        on_refusal = None if outcome is Admission.ADMITTED else self._on_refusal
        if self._on_admission is None and on_refusal is None:
            return
        waited = 0.0 if waiter is None else self._clock.monotonic() - waiter.since
        details = AdmissionDetails(self.name, outcome, waited, self._in_use, len(self._line))
        tell(self._on_admission, details)
        tell(on_refusal, details)


def _settle(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
