"""One connection of the writer: bytes go out, replies are counted in; whose each reply is follows from the order alone.

Owns the parser and the loss: when it is gone, everybody who waits for a reply is told, once. Refuses to know what the
commands mean (writer.py does) and the client library (`cortex_core.events.redis` does).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol


class Parser(Protocol):
    """hiredis' reader: bytes in, replies out, errors as values; `gets` answers False until a reply is whole."""

    def feed(self, data: bytes) -> None: ...

    def gets(self) -> Any: ...


class Dialer(Protocol):
    """How a connection of our own to Redis comes about. `timeout` in seconds."""

    timeout: float

    @property
    def greeting(self) -> Sequence[bytes]:
        """Commands that come first on every connection; their answers are nobody's."""
        ...

    async def dial(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Resolves the name anew each time. Raises OSError, also ssl.SSLError, which is one."""
        ...

    def parser(self) -> Parser: ...


class Pipe(asyncio.Protocol):
    """See the module. `on_reply` gets what was given to `send` with the reply; `on_lost` what has no reply yet."""

    def __init__(
        self,
        parser: Parser,
        on_reply: Callable[[Any, Any], None],
        on_lost: Callable[["Pipe", Exception, list[Any]], None],
    ) -> None:
        self._parser: Final = parser
        self._on_reply: Final = on_reply
        self._on_lost: Final = on_lost
        self._waiting: Final[deque[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def __len__(self) -> int:
        """Commands without a reply."""
        return len(self._waiting)

    def oldest(self) -> Any:
        """What the next reply is for; None where that is nobody's, or nothing is awaited."""
        return next(filter(None, self._waiting), None)

    def use(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def send(self, command: bytes, whose: Any) -> None:
        """One command; its reply is `whose`."""
        if self._transport is not None and not self._lost:
            self._waiting.append(whose)
            self._transport.write(command)

    def lose(self, error: Exception) -> None:
        """Once: later ones change nothing. No reply is taken any more."""
        if self._lost:
            return
        self._lost = True
        if self._transport is not None:
            self._transport.abort()
        unanswered = list(self._waiting)
        self._waiting.clear()
        self._on_lost(self, error, unanswered)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
            while not self._lost and (reply := self._parser.gets()) is not False:
                self._on_reply(self._waiting.popleft(), reply)
        except Exception as error:  # noqa: BLE001 - what cannot be read ends the connection: nobody knows whose it is
            self.lose(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(exc or ConnectionError("Redis closed the connection"))
