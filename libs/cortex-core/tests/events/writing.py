"""A Redis of few words for the writer's tests: it keeps what it is sent, and answers when it is told to."""

import asyncio
import pickle
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from cortex_core.events.redis.commands import Mark
from cortex_core.events.redis.writer import IN_FLIGHT, Writer

WELL: list[Any] = [[], []]
NOSCRIPT = RuntimeError("NOSCRIPT No matching script")


class Server:
    """A `Dialer`. `commands` are those of the newest connection without the greeting; replies go there, too."""

    def __init__(self, *, timeout: float = 5.0) -> None:
        self.timeout = timeout
        self.greeting: Sequence[bytes] = ()
        self.refuses: Exception | None = None
        self.hangs = False
        self.dials = 0
        self.connections: list[Connection] = []

    async def dial(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        await asyncio.sleep(0)
        self.dials += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses is not None:
            raise self.refuses
        self.connections.append(Connection(protocol))
        return cast("asyncio.Transport", self.connections[-1])

    def parser(self) -> "Replies":
        return Replies()

    @property
    def connection(self) -> "Connection":
        return self.connections[-1]

    @property
    def commands(self) -> list[list[bytes]]:
        return [command for command in self.connection.commands if command[0] != b"SCRIPT"]

    @property
    def events(self) -> list[list[bytes]]:
        """Of each command, what was published by it."""
        return [command[command.index(b"100") + 2 :: 2] for command in self.commands]

    def reply(self, *replies: Any) -> None:
        self.connection.protocol.data_received(pickle.dumps(replies))


class Connection:
    """An `asyncio.Transport`, as far as the writer uses it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol
        self.commands: list[list[bytes]] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.commands.append(_words(data))

    def abort(self) -> None:
        self.aborted = True


class Replies:
    """A `Parser` of pickled replies."""

    def __init__(self) -> None:
        self._replies: deque[Any] = deque()

    def feed(self, data: bytes) -> None:
        self._replies += pickle.loads(data)

    def gets(self) -> Any:
        return self._replies.popleft() if self._replies else False


def _words(data: bytes) -> list[bytes]:
    head, _, rest = data.partition(b"\r\n")
    words = []
    for _ in range(int(head[1:])):
        size, _, rest = rest.partition(b"\r\n")
        words.append(rest[: int(size[1:])])
        rest = rest[int(size[1:]) + 2 :]
    assert rest == b""
    return words


class Told(list[Any]):
    """What a writer told of cut streams."""

    def __call__(self, key: str, entries: int) -> None:
        self.append((key, entries))


def make_writer(server: Server, told: Told | None = None) -> Writer:
    return Writer(server, max_length=100, on_cut=told if told is not None else Told())


async def turns(count: int = 5) -> None:
    """As many turns of the loop as what was begun needs to reach its next wait."""
    for _ in range(count):
        await asyncio.sleep(0)


def begun(writer: Writer, *events: bytes, key: str = "k", mark: Mark | None = None) -> asyncio.Task[None]:
    return asyncio.create_task(writer.write([(key, event) for event in events], mark))


async def connected(server: Server, told: Told | None = None) -> Writer:
    """With one publication done."""
    writer = make_writer(server, told)
    first = begun(writer, b"first")
    await turns()
    server.reply(b"the script's digest", WELL)
    await first
    server.connection.commands.clear()
    return writer


async def flooded(writer: Writer, count: int = IN_FLIGHT) -> list[asyncio.Task[None]]:
    """So many publications, each sent (or waiting) by itself: `0`, `1` …"""
    calls = []
    for number in range(count):
        calls.append(begun(writer, b"%d" % number))
        await turns()
    return calls


async def goes_well(server: Server, writer: Writer, *, dials: int) -> None:
    """The next publication, over the connection that was made as the `dials`th; then the writer is closed."""
    call = begun(writer, b"next")
    await turns()
    assert server.dials == dials
    server.reply(b"", WELL)
    await call
    await writer.aclose()
