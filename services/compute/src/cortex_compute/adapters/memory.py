"""The memory budget: bytes are taken before they are used, and given back when that has really ended.

Owns the figures, not the memory: who takes says how much. A file is refused where it does not fit, at once and before
it is read; work waits in turn, and a small image does not overtake a large one for ever. Belongs to one event loop.
Conserved under any cancellation (tests/test_memory_machine.py). Next: `domain/memory.py` has the prices.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from cortex_compute.domain import Bounds, MemoryInUse


class MemoryBudget:
    """`on_reserved` is told the bytes that are taken whenever that changes."""

    def __init__(self, bounds: Bounds, *, on_reserved: Callable[[int], None] = lambda _: None) -> None:
        self.bounds: Final = bounds
        self._on_reserved = on_reserved
        self._files = self._work = 0
        self._waiting: deque[tuple[asyncio.Future[None], Room, int]] = deque()

    @property
    def reserved(self) -> int:
        return self._files + self._work

    def room(self) -> "Room":
        """An empty one, for one request."""
        return Room(self)

    def _change(self, files: int, work: int) -> None:
        self._files += files
        self._work += work
        while self._waiting and self._fits(self._waiting[0][2]):
            granted, room, size = self._waiting.popleft()
            if granted.cancelled():  # it has not been told yet
                continue
            room.work += size
            self._work += size
            granted.set_result(None)
        self._on_reserved(self.reserved)

    def _fits(self, size: int) -> bool:
        return self.reserved + size <= self.bounds.budget

    def _fits_file(self, size: int) -> bool:
        return self._files + size <= self.bounds.files and self._fits(size)

    async def _work_for(self, room: "Room", size: int) -> None:
        if not self._waiting and self._fits(size):
            room.work += size
            return self._change(0, size)
        turn = asyncio.get_running_loop().create_future(), room, size
        self._waiting.append(turn)
        try:
            await turn[0]
        except asyncio.CancelledError:
            if turn in self._waiting:  # else it was granted in the meantime: it is the room's, and given back with it
                self._waiting.remove(turn)
            self._change(0, 0)  # who waited behind it may fit
            raise


class Room:
    """What one request has taken, in bytes; an answer that waits for its reader counts as a file."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._at_work = self._released = False
        self.file = self.work = 0

    def take_file(self, size: int) -> None:
        """Raises MemoryInUse at once where it does not fit."""
        if not self._budget._fits_file(size):
            raise MemoryInUse(size)
        self._set(self.file + size, self.work)

    def settle_file(self, size: int) -> None:
        """It came to no more than `size` of what was taken."""
        self._set(min(size, self.file), self.work)

    async def take_work(self, size: int) -> None:
        """Waits in turn. Cancelled, it may have been given: `release` returns that too."""
        await self._budget._work_for(self, size)

    def begin(self) -> None:
        """A thread uses it from now on: `release` alone gives nothing back until `end`."""
        self._at_work = True

    def end(self, answer: int) -> None:
        """The thread is through with it; of all that was taken, an answer of `answer` bytes is left."""
        self._at_work = False
        kept = 0 if self._released else min(answer, self.file + self.work)
        self._set(kept, 0)

    def release(self) -> None:
        """Whoever asked needs it no more. Twice is once."""
        self._released = True
        if not self._at_work:
            self._set(0, 0)

    def _set(self, file: int, work: int) -> None:
        files, works = file - self.file, work - self.work
        self.file, self.work = file, work
        if files or works:
            self._budget._change(files, works)
