"""Turns: those who write come one after the other where the database takes one writer at a time (SQLite).

The pool would do for exclusion, but not for fairness: whoever gives its connection back and asks again at once gets it
before those who have waited. Here the first to come is the first to go.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cortex_core.eventsourcing.errors import EventStoreUnavailable

_BUSY: Final = "the database is busy: no turn came in time"


class Turns:
    """Transactions of the writing engine; `patience` (seconds) for a turn to come."""

    def __init__(self, writer: AsyncEngine, patience: float) -> None:
        self._engine = writer
        self._patience = patience
        self._lock = asyncio.Lock() if writer.dialect.name == "sqlite" else None
        self._inside: set[asyncio.Task[Any]] = set()

    def refuse_within(self) -> None:
        """Raises RuntimeError where the task that runs now has its turn already: it would wait for itself."""
        if asyncio.current_task() in self._inside:
            raise RuntimeError("a write within a transaction would wait for itself; `also` is given the one it is in")

    @contextmanager
    def inside(self, task: "asyncio.Task[Any] | None") -> Iterator[None]:
        """Within the block, `task` is part of a transaction."""
        if task is None or task in self._inside:
            yield
            return
        self._inside.add(task)
        try:
            yield
        finally:
            self._inside.discard(task)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Committed when the block ends, undone when it raises. Raises RuntimeError within another, by the same task,
        EventStoreUnavailable, and what the driver raises."""
        self.refuse_within()
        async with self._turn(), self._engine.begin() as connection:
            with self.inside(asyncio.current_task()):
                yield connection

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._lock is None:
            yield
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._lock.acquire()
        except TimeoutError as error:
            raise EventStoreUnavailable(_BUSY, attempted=False) from error
        try:
            yield
        finally:
            self._lock.release()
