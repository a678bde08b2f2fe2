"""One client's end of the line: a bounded queue of frames, and whether it is to be closed.

Promises that offering a frame never waits: a queue that is full closes its connection. Refuses to know how frames
travel: whoever owns the transport takes them out, and watches `closed`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

TRY_AGAIN_LATER: Final = 1013  # https://www.iana.org/assignments/websocket


@dataclass(frozen=True, slots=True)
class Closing:
    """How a connection is to end: a WebSocket close code, and a reason of at most 123 bytes (RFC 6455, section 5.5)."""

    code: int
    reason: str

    def __post_init__(self) -> None:
        if len(self.reason.encode()) > 123:
            raise ValueError(f"a close reason has at most 123 bytes: {self.reason!r}")


TOO_SLOW: Final = Closing(TRY_AGAIN_LATER, "too slow: frames were not taken in time")


class Connection:
    """See the module. Belongs to one event loop; `take` has one caller at a time."""

    __slots__ = ("_changed", "_closed", "_frames", "_queue", "closing", "id", "tenant")

    def __init__(self, id: str, tenant: str, *, queue: int) -> None:  # noqa: A002 - it is one
        self.id = id
        self.tenant = tenant
        self.closing: Closing | None = None
        self._queue = queue
        self._frames: deque[str] = deque()
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Frames not taken yet."""
        return len(self._frames)

    def offer(self, frame: str) -> bool:
        """Queues `frame` and returns at once. False where it was not: the connection is closing, or is now, because as
        many frames as it may have wait already."""
        if self.closing is not None:
            return False
        if len(self._frames) >= self._queue:
            self.close(TOO_SLOW)
            return False
        self._frames.append(frame)
        self._changed.set()
        return True

    async def take(self) -> str | None:
        """The oldest frame, as soon as there is one; None when the connection is closing."""
        while not self._frames and self.closing is None:
            self._changed.clear()
            await self._changed.wait()
        return self._frames.popleft() if self.closing is None else None

    def close(self, closing: Closing) -> None:
        """Asks the transport to end it so. What waits is let go. The first to ask decides how."""
        if self.closing is not None:
            return
        self.closing = closing
        self._frames.clear()
        self._changed.set()
        self._closed.set()

    async def closed(self) -> None:
        """Returns when `close` has been called: the time to stop even a send that is stuck."""
        await self._closed.wait()
