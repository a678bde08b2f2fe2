"""Background work of a service: tasks that run as long as it does, are ended with it, and never die unseen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Logger


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
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def check(self) -> Mapping[str, Any]:
        """For the health registry. Raises BackgroundDied, naming the tasks."""
        if self._dead:
            raise BackgroundDied(f"ended before the service did: {', '.join(self._dead)}")
        return {"tasks": len(self._tasks)}

    async def aclose(self) -> None:
        """Cancels all and waits for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _supervised(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await work()
            self._logger.error("background task returned", task=name)
        except Exception as error:  # whatever it was: the service must be seen to be unwell
            self._logger.exception("background task died", task=name, error=type(error).__name__)
        self._dead.append(name)
