"""Loops: the tasks of a bus. They do one step after another until they are closed, and nothing else ends them.

Owns two promises: a step that fails is told and tried again after a capped back-off, whatever failed; and closing
interrupts a step only where it does no harm.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from cortex_core.events.hooks import BusErrorDetails, SafeHooks
from cortex_core.kernel.clock import Clock

FIRST_DELAY: Final = 0.05
MAX_DELAY: Final = 2.0


class Loop:
    """Runs `step()` again and again. `aclose` cancels a step, unless it is within `undisturbed()`: then it waits."""

    def __init__(self, step: Callable[[], Awaitable[None]], *, work: str, clock: Clock, hooks: SafeHooks) -> None:
        self._step: Final = step
        self._work: Final = work
        self._clock: Final = clock
        self._hooks: Final = hooks
        self._random: Final = random.Random()  # noqa: S311 - jitter spreads load; nobody gains by guessing it
        self._task: asyncio.Task[None] | None = None
        self._undisturbed = False
        self._failures = 0
        self._closing = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._work)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        self._undisturbed = True
        try:
            yield
        finally:
            self._undisturbed = False

    def is_closing(self) -> bool:
        return self._closing

    def stop(self) -> None:
        """Begins no other step."""
        self._closing = True

    def is_current(self) -> bool:
        """Whether it is this loop's own step that asks."""
        return self._task is not None and self._task is asyncio.current_task()

    def works(self) -> None:
        """What failed works again: the next failure is a first one. A step that returns says so by itself."""
        self._failures = 0

    async def aclose(self, within: float | None = None) -> None:
        """Returns when it has ended. What is `undisturbed` has `within` seconds, if given, and is cancelled then.
        Called from within its own step it only asks: a task cannot wait for itself."""
        self.stop()
        task = self._task
        if task is None or self.is_current():
            return
        if not self._undisturbed:
            task.cancel()
        try:
            await asyncio.wait({task}, timeout=within)
            while not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=1.0)
        except asyncio.CancelledError:
            task.cancel()  # whoever waited for its end does so no more
            raise

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._step()
                self.works()
            except Exception as error:  # noqa: BLE001 - told, and tried again: a loop that died would lose events unseen
                await self._stumble(error)
            await asyncio.sleep(0)  # a step that never had to wait must not keep the loop from everybody else

    async def _stumble(self, error: Exception) -> None:
        self._failures += 1
        ceiling = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 1, 64))
        delay = self._random.uniform(ceiling / 2, ceiling)
        self._hooks.on_error(BusErrorDetails(self._work, error, self._failures, delay))
        if not self._closing:
            await self._clock.sleep(delay)
