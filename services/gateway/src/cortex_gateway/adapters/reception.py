"""An exchange by callbacks as something to await: the answer's head, its parts, and a body that goes out meanwhile."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from cortex_core.kernel import CortexError
from cortex_gateway.ports import Exchange, Head

_ENOUGH: Final = 1 << 16  # bytes of an answer that wait for their reader; then the service waits


class Reception:
    """A `ports.Receiver`. `async with` sends `body` and, at its end, ends the exchange. An error of the body's is
    raised to whoever waits for the answer, as it is."""

    def __init__(self, body: AsyncIterator[bytes] | None) -> None:
        self.exchange: Exchange
        self._body = body
        self._sending: asyncio.Task[None] | None = None
        self._head: Head | None = None
        self._parts: deque[bytes] = deque()
        self._held = 0  # bytes in them
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def __aenter__(self) -> Self:
        if self._body is not None:
            self._sending = asyncio.create_task(self._send(self._body))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.exchange.abort()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self, body: AsyncIterator[bytes]) -> None:
        try:
            async for part in body:
                self.exchange.write(part)
                await asyncio.sleep(0)  # a turn for `hold_body`
                await self._room.wait()
        except Exception as error:  # noqa: BLE001 - raised again where the answer is waited for
            self.exchange.abort()
            self._fails(error)
        else:
            self.exchange.write_eof()

    async def head(self) -> Head:
        while self._head is None:
            if self._error is not None:
                raise self._error
            await self._next()
        return self._head

    async def parts(self) -> AsyncIterator[bytes]:
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held -= len(part)
                if self._paused and not self._parts:
                    self._paused = False
                    self.exchange.resume_reading()
                yield part
            if self._error is not None:
                raise self._error
            if self._ended:
                return
            await self._next()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _fails(self, error: Exception) -> None:
        self._error = error
        self._news.set()

    # ports.Receiver

    def answered(self, head: Head) -> None:
        self._head = head
        self._news.set()

    def received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        self._news.set()
        if self._held >= _ENOUGH and not self._paused:
            self._paused = True
            self.exchange.pause_reading()

    def completed(self) -> None:
        self._ended = True
        self._news.set()

    def arrived(self, head: Head, body: bytes) -> None:
        self.answered(head)
        if body:
            self.received(body)
        self.completed()

    def failed(self, error: CortexError) -> None:
        self._fails(error)

    def hold_body(self) -> None:
        self._room.clear()

    def go_on(self) -> None:
        self._room.set()
