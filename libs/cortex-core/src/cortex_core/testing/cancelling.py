"""Cancelling a call wherever it waits: whatever it leaves behind at one of those moments, it leaves in a rare failure.

Owns the moments. What was left is for the test to ask: the server for its connections, or the garbage collection, whose
complaints (a socket nobody closed, a task nobody waited for) pytest makes failures of.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator
from typing import Any, cast


async def cancelled_wherever_it_waits(call: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Runs `call()` again and again, each time cancelled where it waits for the first, the second … time, until it ends
    before that. There are two moments for each: when it has begun to wait, and when what it waits for is there but has
    not been taken. Then garbage is collected. Returns at how many places it waits.

    Raises AssertionError where it went on as if nothing had been, and what `call()` raises.
    """
    place = 1
    for late in (True, False):
        place = 1
        while await _is_cancelled_at(place, call, late=late):
            place += 1
        gc.collect()
    return place - 1


async def _is_cancelled_at(place: int, call: Callable[[], Coroutine[Any, Any, object]], *, late: bool) -> bool:
    """Whether it waited that often."""
    steps = _Steps(call(), place, late=late)
    task = asyncio.create_task(steps.run())
    await asyncio.wait([task])
    if task.cancelled():
        return True
    await task
    if steps.reached:
        moment = "what that waits for had come" if late else "it had begun to"
        raise AssertionError(f"it went on after it was cancelled where it waits for the {place}. time, when {moment}")
    return False


class _Steps:
    """A coroutine that is looked at whenever it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], place: int, *, late: bool) -> None:
        self._coroutine = coroutine
        self._left = place
        self._late = late
        self.reached = False

    async def run(self) -> None:
        await self

    def __await__(self) -> Generator[Any, Any, None]:
        send, value = self._coroutine.send, None
        while True:
            try:
                awaited = send(value)
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                self._cancel(awaited)
            try:
                send, value = self._coroutine.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - it is thrown where it belongs
                send, value = self._coroutine.throw, error

    def _cancel(self, awaited: Any) -> None:
        self.reached = True
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        if self._late and awaited is not None:
            awaited.add_done_callback(lambda _: task.cancel())  # before the task's own, which wakes it
        else:
            asyncio.get_running_loop().call_soon(task.cancel)
