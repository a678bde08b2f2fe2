"""Timeout: a call that takes too long is given up, and what it calls in turn knows how long it has.

Owns the difference between our cancellation and anybody else's (as `asyncio.timeout` does, by counting): one from
outside is never swallowed, nor told as a time-out. Within the block the context's deadline is the tighter of its own
and the caller's, so that `X-Request-Deadline` and the retries within go by it.

A thread cannot be interrupted. So `execute_sync` makes its call on a thread of its own and leaves it there when the
time is over: the call goes on, and what becomes of it nobody learns. While too many do, no other is begun.
"""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.kernel.context import Context, current, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.resilience.bounds import number, whole
from cortex_core.resilience.deadline import DeadlineExceeded
from cortex_core.resilience.entries import entered, left
from cortex_core.resilience.hooks import OnTimeout, TimeoutDetails, tell
from cortex_core.resilience.policy import Policy, settled
from cortex_core.resilience.refusal import Refusal

P = ParamSpec("P")
T = TypeVar("T")


class CallTimeout(CortexError, TimeoutError):
    """The call did not end within the time it had. It may have had its effect all the same."""

    code, kind = "call.timeout", Kind.TIMEOUT


class ThreadsExhausted(Refusal):
    """As many blocking calls as may be have been given up and still run: another thread would join them."""

    code, kind = "timeout.threads-exhausted", Kind.UNAVAILABLE


class Timeout(Policy):
    """Gives a call `seconds` (> 0), or what its caller's deadline leaves of them.

    Raises CallTimeout when its own time is over, DeadlineExceeded when the caller's is: at once, and without a call,
    where it was over before. Both are TimeoutErrors too. Use it as a decorator, by `execute`, or as `async with`;
    there is no `with`, since nothing could end a block that blocks. `execute_sync` waits in real time, whatever the
    clock, and raises ThreadsExhausted while `max_abandoned` calls that were given up still run; how many can be under
    way before that is a bulkhead's business. Raises ValueError for bad settings.
    """

    def __init__(
        self,
        seconds: float,
        *,
        name: str = "default",
        max_abandoned: int = 32,
        clock: Clock | None = None,
        on_timeout: OnTimeout | None = None,
    ) -> None:
        number("seconds", seconds, above=0)
        whole("max_abandoned", max_abandoned)
        self.seconds = seconds
        self.name = name
        self.max_abandoned = max_abandoned
        self._clock = clock or SystemClock()
        self._on_timeout = on_timeout
        self._abandoned = 0
        self._lock = threading.Lock()

    async def execute(self, call: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        limit = self._limit()
        alarm = _Alarm(limit, self._clock)
        try:
            result = await call(*args, **kwargs)
        except BaseException as error:
            self._end(alarm, error)
            raise
        self._end(alarm, None)
        return result

    def execute_sync(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._abandoned >= self.max_abandoned:
            raise ThreadsExhausted(f"{self._abandoned} calls that timeout {self.name} gave up still run")
        limit = self._limit()
        with use_context(deadline=limit.deadline):
            context = contextvars.copy_context()
        future: Future[T] = Future()
        work = (context, future, call, args, kwargs)
        threading.Thread(target=_run, args=work, name=f"timeout-{self.name}", daemon=True).start()
        if not wait([future], limit.seconds).done:
            self._abandon(future)
            raise self._given_up(limit)
        return future.result()

    async def __aenter__(self) -> Self:
        entered(self, _Alarm(self._limit(), self._clock))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(left(self), error)

    def __repr__(self) -> str:
        return f"Timeout({self.seconds})"

    @property
    def abandoned(self) -> int:
        """How many blocking calls that were given up still run."""
        return self._abandoned

    def _limit(self) -> "_Limit":
        """What a call that begins now has. Raises DeadlineExceeded where that is nothing."""
        now, deadline = self._clock.monotonic(), current().deadline
        own = now + self.seconds
        if deadline is None or own <= deadline:
            return _Limit(own, self.seconds, by_deadline=False)
        if deadline <= now:
            tell(self._on_timeout, TimeoutDetails(self.name, 0.0, by_deadline=True))
            raise DeadlineExceeded("the deadline had passed before the call began")
        return _Limit(deadline, deadline - now, by_deadline=True)

    def _end(self, alarm: "_Alarm", error: BaseException | None) -> None:
        if alarm.stop() and isinstance(error, asyncio.CancelledError):
            raise self._given_up(alarm.limit) from error

    def _given_up(self, limit: "_Limit") -> CortexError:
        tell(self._on_timeout, TimeoutDetails(self.name, limit.seconds, limit.by_deadline))
        if limit.by_deadline:
            return DeadlineExceeded(
                f"the caller's deadline passed {limit.seconds:.3f} s after the call began", attempted=True
            )
        return CallTimeout(f"no answer within {limit.seconds} s", timeout=self.name)

    def _abandon(self, future: Future[Any]) -> None:
        with self._lock:
            self._abandoned += 1
        future.add_done_callback(self._came_back)

    def _came_back(self, future: Future[Any]) -> None:  # noqa: ARG002 - nobody waits for its result any more
        with self._lock:
            self._abandoned -= 1


class _Limit:
    """When a call must have ended (monotonic), how many seconds that is from its beginning, and whose limit it is."""

    __slots__ = ("by_deadline", "deadline", "seconds")

    def __init__(self, deadline: float, seconds: float, *, by_deadline: bool) -> None:
        self.deadline = deadline
        self.seconds = seconds
        self.by_deadline = by_deadline


class _Alarm:
    """Cancels the task in which it was made at its limit, unless stopped. Until then the context has its deadline."""

    def __init__(self, limit: _Limit, clock: Clock) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a task that it can interrupt")
        self.limit = limit
        self._task = task
        self._cancelled_before = task.cancelling()
        self._rang = False
        self._context: AbstractContextManager[Context] = use_context(deadline=limit.deadline)
        self._context.__enter__()
        self._timer = clock.call_later(limit.seconds, self._ring)

    def stop(self) -> bool:
        """Whether it rang, and nobody else wants the task cancelled."""
        self._timer.cancel()
        self._context.__exit__(None, None, None)
        return self._rang and self._task.uncancel() <= self._cancelled_before

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()


def _run(
    context: contextvars.Context,
    future: Future[Any],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    try:
        result = settled(context.run(call, *args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
        future.set_exception(error)
    else:
        future.set_result(result)
