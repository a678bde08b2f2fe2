"""Ready: who has plain messages waiting, run by one callback of the loop.

A message told from within a `receive` is received in the same turn of the loop: a thousand actors that hand one message
on cost no thousand turns. After BATCH messages everything else on the loop has its turn; after SHARE of one actor the
next actor has.
"""

import asyncio
from collections import deque
from contextvars import Context as Variables
from typing import Final, Protocol

BATCH: Final = 256
SHARE: Final = 64
DEPTH: Final = 8  # asks within asks that are received right away, one on the stack of another


class Runnable(Protocol):
    """What can have messages waiting."""

    variables: Variables

    def run(self, most: int) -> int:
        """Receives at most `most` messages (≥ 1), and says how many are left of these. Says itself if it needs more."""
        ...


class Ready:
    """The queue of those who have something to do. `depth`: how many asks lie upon each other on the stack."""

    __slots__ = ("_base", "_queue", "_scheduled", "depth", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._queue: deque[Runnable] = deque()
        self._scheduled = False
        self.depth = 0
        self._base = Variables()

    def add(self, runnable: Runnable) -> None:
        """It is run soon, once."""
        self._queue.append(runnable)
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._run, context=self._base)

    def _run(self) -> None:
        queue, left = self._queue, BATCH
        try:
            while queue and left > 0:
                runnable = queue.popleft()
                most = min(SHARE, left)
                left -= most - runnable.variables.run(runnable.run, most)
        finally:  # also where Ctrl-C came in between: the others wait no longer for it than they must
            self._scheduled = bool(queue)
            if queue:
                self.loop.call_soon(self._run, context=self._base)
