"""What an application sends within one turn of the event loop leaves as one: one flush, one `send`.

A chunk is compressed when it comes. It is flushed and sent by a task, which is in the loop's queue before anything that
the application could wait for: whoever waits has been sent, and rows out of a list are not sent one by one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cortex_core.asgi.compression.codecs import Encoder

MOST: Final = 64 * 1024  # bytes held, of what came in


class Turn:
    """`send(encoded)` sends on. There is at most one call of it at a time, and less than MOST bytes held beside it.

    While bytes are held nothing is under way: that is what lets `take` return at once, and why the task, when its turn
    comes and nothing is held, has nothing to do.
    """

    def __init__(self, encoder: Encoder, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._encoder = encoder
        self._send = send
        self._encoded: list[bytes] = []
        self._held = 0
        self._task: asyncio.Task[None] | None = None

    async def take(self, data: bytes) -> None:
        """Returns when `data` is held, or sent with what was held where both are MOST bytes. Waits for what is under
        way, and raises what the server's `send` raised then."""
        if not self._held:
            await self.settled()
        self._encoded.append(self._encoder.encode(data))
        self._held += len(data)
        if self._held >= MOST:
            await self._pass_on()
        elif self._task is None:
            self._task = asyncio.create_task(self._pass_on())

    async def taken(self) -> bytes:
        """What is held, encoded but not flushed, when nothing is under way any more. The caller sends it."""
        if not self._held:
            await self.settled()
        return self._let_go()

    async def settled(self) -> None:
        """Everything is sent. What the server's `send` raised is raised here, once."""
        task = self._task
        if task is None:
            return
        if not task.done():
            await asyncio.wait((task,))  # not the task itself: a send given up must not take along the one before it
        if self._task is task:
            self._task = None
            task.result()

    def drop(self) -> None:
        """What is held is not sent, and what is under way is broken off."""
        if self._task is not None:
            self._task.cancel()  # where it has failed, this keeps the loop quiet: there is another failure to report

    async def _pass_on(self) -> None:
        if self._held:
            await self._send(self._let_go() + self._encoder.flush())

    def _let_go(self) -> bytes:
        encoded, self._encoded, self._held = b"".join(self._encoded), [], 0
        return encoded
