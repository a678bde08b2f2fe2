"""Starting: a service whose database is away at its start stays up, not ready, and opens by itself once it is there.

Owns the difference between what passes and what does not. An error that says of itself that it is `awaited` (nobody
answers, the schema is not there yet) is met again every second, and told once, again when it changes, and each minute.
Any other at the first attempt ends the process, which says why: nothing that we could wait for would mend it; once it
is up, it stays. A service that was open once is never closed by this: from then on its health checks say what is away.
ADR 0029.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from cortex_core.chassis.platform import Platform
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.observability import Repeats

AGAIN: Final = 1.0  # seconds between two attempts
CHECK: Final = "start"

Open = Callable[[], AbstractAsyncContextManager[None]]


class ServiceStarting(CortexError):
    """The service waits for what it stands on. Nothing was begun: ask again."""

    code, kind, attempted = "service.starting", Kind.UNAVAILABLE, False

    def __init__(self) -> None:
        super().__init__("the service waits for what it stands on; ask again", retry_after=AGAIN)


class Opening:
    """`open` is entered and left in one task, as what it holds may ask for."""

    def __init__(self, platform: Platform, open: Open, told: Callable[[Exception], str]) -> None:  # noqa: A002 - its word
        self._platform = platform
        self._open = open
        self._told = told
        self._repeats = Repeats(platform.clock)
        self._waits_for: Exception | None = None
        self._is_open = False
        self._over = asyncio.Event()
        self._attempted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it is open, or waits. Raises what cannot be waited for."""
        self._platform.health.register(CHECK, self.check)
        self._task = asyncio.create_task(self._run(), name="opening")
        first = asyncio.create_task(self._attempted.wait())
        try:
            await asyncio.wait({self._task, first}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first.cancel()
        if self._task.done():
            await self._task

    async def aclose(self) -> None:
        """Closes what is open; an attempt under way is given up."""
        self._over.set()
        if self._task is None:
            return
        if not self._is_open:
            self._task.cancel()
            await asyncio.wait({self._task})
            return
        await self._task

    async def check(self) -> Mapping[str, Any]:
        """For the health registry. Raises what is waited for."""
        if self._waits_for is not None:
            raise self._waits_for
        return {}

    async def _run(self) -> None:
        while not self._over.is_set():
            names = self._platform.health.names
            try:
                async with self._open():
                    self._is_open, self._waits_for = True, None
                    self._attempted.set()
                    await self._over.wait()
                    return
            except Exception as error:
                if self._is_open or not (self._waits_for is not None or _is_awaited(error)):
                    raise
                self._platform.health.keep(names)
                self._wait_for(error)
            await self._platform.clock.sleep(AGAIN)

    def _wait_for(self, error: Exception) -> None:
        self._waits_for = error
        if self._repeats.worth_saying(str(error)):
            self._platform.logger.warning("not ready", reason=self._told(error), error=type(error).__name__)
        self._attempted.set()


def _is_awaited(error: Exception) -> bool:
    return isinstance(error, CortexError) and error.awaited


@asynccontextmanager
async def opening(platform: Platform, open: Open, told: Callable[[Exception], str]) -> AsyncIterator[None]:  # noqa: A002
    """What `open` opens is there while the block runs, or soon after its begin. `told`: an error as those read it who
    run the service. Raises what cannot be waited for."""
    opening = Opening(platform, open, told)
    try:
        await opening.start()
        yield
    finally:
        await opening.aclose()
