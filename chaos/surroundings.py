"""What an experiment runs in: a folder, a database, a real Redis, and processes, all ended with it.

Loads and faults stay on loopback; only what was started here is ever killed, by its pid.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cortex_core.testing import PostgresServer, RedisServer

_PATIENCE: Final = 15.0  # seconds for a process to end by itself


@dataclass(slots=True)
class Surroundings:
    """`scale` multiplies counts: 1.0 is what chaos/README.md promises, less is a glance."""

    folder: Path
    database: str
    redis: RedisServer
    postgres: PostgresServer | None
    scale: float
    _stack: AsyncExitStack
    _databases: int = field(default=0)

    def count(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.scale))

    def new_database(self) -> str:
        """The URL of an empty database of this run's kind."""
        self._databases += 1
        if self.postgres is not None:
            return self._stack.enter_context(self.postgres.database())
        return f"sqlite+aiosqlite:///{self.folder}/store-{self._databases}.db"


@dataclass(slots=True)
class Process:
    """`python …` whose output goes to a file; it may be killed and started again."""

    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self.arguments,
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """SIGKILL, and returns when it is gone."""
        await self._end(signal.SIGKILL)

    async def end(self) -> None:
        """SIGTERM; SIGKILL after a while."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def wait(self) -> int:
        """Its exit status, negative for a signal's."""
        if self._process is None:
            raise RuntimeError("it was never started")
        return await self._process.wait()

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()


@asynccontextmanager
async def started(process: Process) -> AsyncIterator[Process]:
    await process.start()
    try:
        yield process
    finally:
        await process.end()


@asynccontextmanager
async def surroundings(
    database: str, folder: Path, scale: float, postgres: PostgresServer | None
) -> AsyncIterator[Surroundings]:
    """A fresh Redis each time; one PostgreSQL serves all runs, with a database of its own for each."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer.running())
        yield Surroundings(folder, database, redis, postgres if database == "postgresql" else None, scale, stack)
