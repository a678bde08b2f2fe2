"""Hedge: where no answer has come for a while, ask once more and take whichever answer is first.

Against slowness, not failure ("The Tail at Scale", Dean and Barroso, CACM 56(2), 2013; gRFC A6): the delay is a high
percentile of what calls take, so that few are asked twice, and a budget bounds how many. Owns the attempts it starts:
whichever lose are cancelled and awaited before the answer is given. Refuses what may not be done twice, and blocks: a
`with` cannot run its body twice, let alone at once. Next: latencies.py measures, retry.py is against failure.
"""

import asyncio
import contextvars
import math
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import current, use_context
from cortex_core.resilience.bounds import seconds, whole
from cortex_core.resilience.budget import RetryBudget
from cortex_core.resilience.hooks import HedgeDetails, OnHedge, tell
from cortex_core.resilience.latencies import Latencies, Percentile
from cortex_core.resilience.policy import Policy, settled

P = ParamSpec("P")
T = TypeVar("T")


class Hedge(Policy):
    """At most `max_hedges` (≥ 1) more attempts, each `delay` after the one before, while no answer has come.

    `delay` is a number of seconds (≥ 0) or a `Percentile` of what successful attempts took. The first success is the
    answer; an error waits for the attempts that still run, and the last error comes out when none is left. An attempt
    more costs a token of `budget`, whose ratio is the share of calls that may be hedged in the long run (default: one
    of our own, 5 %, at most 10 at once); it carries on no retries. `idempotent=True` has to be said: attempts run side
    by side. What an attempt sets in context variables stays in it. Raises ValueError for arguments out of their bounds.
    """

    def __init__(
        self,
        delay: float | Percentile,
        max_hedges: int = 1,
        *,
        idempotent: bool,
        budget: RetryBudget | None = None,
        name: str = "",
        clock: Clock | None = None,
        on_hedge: OnHedge | None = None,
    ) -> None:
        if not idempotent:
            raise ValueError("idempotent must be True: a hedged call runs twice at once")
        if not isinstance(delay, Percentile):
            seconds("delay", delay, or_zero=True)
        whole("max_hedges", max_hedges)
        self.max_hedges = max_hedges
        self._fixed = None if isinstance(delay, Percentile) else delay
        self._latencies = Latencies(delay) if isinstance(delay, Percentile) else None
        self._budget = budget or RetryBudget(ratio=0.05)
        self.name = name
        self._clock = clock or SystemClock()
        self._on_hedge = on_hedge

    @property
    def delay(self) -> float:
        """Seconds until the next attempt, as of now."""
        return self._latencies.value if self._latencies is not None else cast("float", self._fixed)

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The first answer. Raises the last error where no attempt has one."""
        course = _Course(self)
        running: list[asyncio.Task[T]] = []
        try:
            while True:
                if course.starts():
                    with use_context(retry_budget=course.carried):
                        running.append(asyncio.create_task(self._timed(call, *args, **kwargs)))
                await self._first_of(running, course.wait())
                ended = [task for task in running if task.done()]
                running = [task for task in running if task not in ended]
                won = [task for task in ended if not task.cancelled() and task.exception() is None]
                if won:
                    return won[0].result()
                if ended and not running:
                    return ended[-1].result()  # raises
        finally:
            await _stop(running)

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a call that blocks: each attempt in a daemon thread of its own, which costs some 100 µs.

        A thread cannot be interrupted: a loser goes on to its end, unheard. Waits by the machine's clock.
        """
        course = _Course(self)
        ends: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        running = 0
        while True:
            if course.starts():
                with use_context(retry_budget=course.carried):
                    context = contextvars.copy_context()
                run = partial(context.run, self._report, ends, partial(call, *args, **kwargs))
                threading.Thread(target=run, name="hedge", daemon=True).start()
                running += 1
            try:
                answered, value = ends.get(timeout=course.wait())
            except queue.Empty:
                continue
            running -= 1
            if answered:
                return cast("T", value)
            if not running:
                raise value

    async def _timed(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        began = self._clock.monotonic()
        try:
            result = await call(*args, **kwargs)
        except asyncio.CancelledError:
            self._measured(self._clock.monotonic() - began, lost=True)
            raise
        self._measured(self._clock.monotonic() - began)
        return result

    def _report(self, ends: "queue.SimpleQueue[tuple[bool, Any]]", call: Callable[[], object]) -> None:
        began = self._clock.monotonic()
        try:
            result = settled(call())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is waited for
            ends.put((False, error))
        else:
            self._measured(self._clock.monotonic() - began)
            ends.put((True, result))

    def _measured(self, seconds: float, *, lost: bool = False) -> None:
        """Of one that was cancelled we know that it takes longer than this: without the losers, slow calls would seem
        rarer than they are. One cancelled early (its caller left) says nothing."""
        if self._latencies is not None and not (lost and seconds < self._latencies.value):
            self._latencies.add(seconds)

    async def _first_of(self, running: "Sequence[asyncio.Task[Any]]", seconds: float | None) -> None:
        """Returns when one of them has ended, or after `seconds`."""
        if seconds is None:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            return
        rung = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(rung.set_result, None))
        try:
            await asyncio.wait([*running, rung], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()


class _Course:
    """When one call may start another attempt, and what the attempt carries on."""

    def __init__(self, hedge: Hedge) -> None:
        self.carried = hedge._budget.deposit(current().retry_budget)
        self._hedge = hedge
        self._started = 0
        self._delay = hedge.delay
        self._due: float | None = -math.inf  # None: there is no other attempt

    def starts(self) -> bool:
        """Whether an attempt is to start now; counts it, and tells who listens."""
        hedge = self._hedge
        now = hedge._clock.monotonic()
        if self._due is None or now < self._due:
            return False
        paid = not self._started or hedge._budget.withdraw()
        if self._started:
            self.carried = 0.0
            tell(hedge._on_hedge, HedgeDetails(self._started + 1, self._delay, not paid, hedge.name))
        self._started += 1
        self._due = now + self._delay if paid and self._started <= hedge.max_hedges else None
        return paid

    def wait(self) -> float | None:
        """Seconds until the next attempt is due; None where there is none."""
        return None if self._due is None else max(0.0, self._due - self._hedge._clock.monotonic())


async def _stop(losers: "Sequence[asyncio.Task[Any]]") -> None:
    """Cancels them, and returns when they have ended, even if we are cancelled meanwhile: nothing runs on unseen."""
    for task in losers:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in losers if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in losers:
        if not task.cancelled():
            task.exception()  # seen: asyncio need not complain
    if cancelled is not None:
        raise cancelled
