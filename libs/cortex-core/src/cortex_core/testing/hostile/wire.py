"""A client that sends any bytes, in any pieces, and reads answers as strictly as the server should read requests."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

PATIENCE: Final = 5.0
_SLOW: Final = 300  # bytes at either end of what is sent byte by byte


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The problem's, "" where it is none."""
        told = self.headers.get("content-type") == "application/problem+json"
        return str(json.loads(self.body)["code"]) if told and self.body else ""


def in_pieces(data: bytes, size: int = 1) -> Iterator[bytes]:
    """`data` in pieces of `size`; where it is long, only its begin and its end are."""
    edges = [*range(0, min(_SLOW, len(data)), size), *range(_SLOW, len(data) - _SLOW, 997)]
    edges += range(max(_SLOW, len(data) - _SLOW), len(data), size)
    for start, end in zip(edges, [*edges[1:], len(data)], strict=True):
        yield data[start:end]


async def exchange(
    port: int, pieces: Iterable[bytes], *, heads: int = 0, answers: int | None = None
) -> tuple[list[Answer], bool]:
    """Sends the pieces, one turn of the loop apart; reads until the end, or until there are `answers`. Returns what
    came, and whether the connection was ended by the server. The first `heads` answers are to a HEAD.

    Raises AssertionError for bytes that are no answer, and TimeoutError where nothing more comes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send(writer, pieces))
    got, ended = b"", False
    try:
        async with asyncio.timeout(PATIENCE):
            while answers is None or len(parsed(got, heads=heads)) < answers:
                read = await reader.read(1 << 16)
                if not read:
                    ended = True
                    break
                got += read
    except ConnectionResetError:
        ended = True
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
    return parsed(got, heads=heads, whole=True), ended


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)


def parsed(data: bytes, *, heads: int = 0, whole: bool = False) -> list[Answer]:
    """The answers that `data` consists of, `100 Continue` left out. `whole`: nothing may be left."""
    answers: list[Answer] = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            break
        line, *lines = head.split(b"\r\n")
        assert line.startswith(b"HTTP/1.1 "), line  # noqa: S101 - it is a test's
        status = int(line[9:12])
        headers = {}
        for each in lines:
            name, colon, value = each.partition(b": ")
            assert colon, each  # noqa: S101
            headers[name.decode().lower()] = value.decode("latin-1")
        if status == 100:
            data = rest
            continue
        body, left = (b"", rest) if len(answers) < heads else _body(headers, rest)
        if body is None:
            break
        answers.append(Answer(status, headers, body))
        data = left
    assert not (whole and data), data[:200]  # noqa: S101
    return answers


def _body(headers: dict[str, str], rest: bytes) -> tuple[bytes | None, bytes]:
    if "content-length" in headers:
        size = int(headers["content-length"])
        return (rest[:size], rest[size:]) if len(rest) >= size else (None, rest)
    if headers.get("transfer-encoding") != "chunked":
        return rest, b""  # until the end
    body = b""
    while True:
        size_line, separator, rest = rest.partition(b"\r\n")
        if not separator or len(rest) < int(size_line, 16) + 2:
            return None, rest
        size = int(size_line, 16)
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest


class Recorder:
    """An application that remembers whole requests: method, target, headers, body. `hold` delays its answers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, list[tuple[bytes, bytes]], bytes]] = []
        self.sockets = 0
        self.hold: asyncio.Event | None = None
        self.begun: Callable[[], None] = lambda: None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        if scope["type"] == "websocket":
            self.sockets += 1
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        self.begun()
        if self.hold is not None:
            await self.hold.wait()
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self.seen.append((scope["method"], scope["raw_path"] + query, list(scope["headers"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
