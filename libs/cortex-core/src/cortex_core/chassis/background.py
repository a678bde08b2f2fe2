"""Background work of a service: tasks that run as long as it does, are ended with it, and never die unseen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Logger

_AGAIN: Final = 2.0  # seconds that a task has for what it does at its end, before it is told once more


class BackgroundDied(CortexError):
    """A task that should run as long as the service has ended."""

    code, kind = "service.background-died", Kind.INTERNAL


class Background:
    """Starts tasks and remembers them. One that raises, or returns, is logged and makes `check` fail from then on."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead: list[str] = []

    def start(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._supervised(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @asynccontextmanager
    async def during(self, work: Callable[[], Awaitable[None]], name: str) -> AsyncIterator[None]:
        """The task runs while the block does: for work on something that the block's surroundings close afterwards."""
        task = self.start(work, name)
        try:
            yield
        finally:
            await _ended([task])

    async def check(self) -> Mapping[str, Any]:
        """For the health registry. Raises BackgroundDied, naming the tasks."""
        if self._dead:
            raise BackgroundDied(f"ended before the service did: {', '.join(self._dead)}")
        return {"tasks": len(self._tasks)}

    async def aclose(self) -> None:
        """Cancels all and waits for them."""
        await _ended(self._tasks)

    async def _supervised(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await work()
            self._logger.error("background task returned", task=name)
        except Exception as error:  # whatever it was: the service must be seen to be unwell
            self._logger.exception("background task died", task=name, error=type(error).__name__)
        self._dead.append(name)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels them, and again: one cancellation can be lost, where it comes just as `asyncio.wait_for` has its answer,
    and a task that goes on would keep the service from ending."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN)
