"""Stepping: the first step of an awaitable without a turn of the loop, yet in the task that may have to go on with it.

An awaitable that does not wait is done after one step, and most messages' are. So the step is made right away, while
the actor's task is parked: with that task as the current one, by the functions that the standard library has for other
makers of tasks (https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support). What waits after all
is handed to the task, which awaits it as `Begun`: first for what the step came to wait for, then as if nothing had
been. `asyncio.timeout` and whoever else remembers the current task so remembers the right one (ADR 0013).
"""

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType
from typing import Any


class Begun:
    """An awaitable after its first step, which came to wait for `waits_for` (None: just for a turn of the loop).

    `cancelled`, where the task was cancelled before it could take over: then that is heard first.
    """

    __slots__ = ("_coroutine", "_waits_for", "cancelled")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for
        self.cancelled: asyncio.CancelledError | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, waits_for = self._coroutine, self._waits_for
        try:
            if self.cancelled is not None and not _passed_on(waits_for):
                waits_for = coroutine.throw(self.cancelled)
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - its own to handle
                    waits_for = coroutine.throw(error)
                else:
                    waits_for = coroutine.send(sent)
        except StopIteration as end:
            return end.value


def first_step(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], awaitable: Awaitable[Any]) -> Any:
    """What `awaitable` comes to in one step of `task`, or a Begun. Raises what it raises."""
    coroutine: Coroutine[Any, Any, Any] = awaitable if type(awaitable) is CoroutineType else _awaiting(awaitable)
    outer = asyncio.current_task(loop)
    if outer is not None:
        _leave_task(loop, outer)
    _enter_task(loop, task)
    try:
        return Begun(coroutine, coroutine.send(None))
    except StopIteration as end:
        return end.value
    finally:
        _leave_task(loop, task)
        if outer is not None:
            _enter_task(loop, outer)


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _passed_on(waits_for: Any) -> bool:
    """Whether a cancellation goes to what is waited for, as a task passes it on (asyncio.Task.cancel)."""
    return waits_for is not None and bool(waits_for.cancel())
