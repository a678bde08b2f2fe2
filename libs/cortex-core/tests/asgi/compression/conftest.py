"""An exchange without a server: what an application sends through Compression, message by message."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import brotli
import pytest
import zstandard

from cortex_core.asgi import Compression, Load
from cortex_core.asgi.compression import Codec, Levels

JSON = (b"content-type", b"application/json")


class Stream:
    """A client's decoder, fed as the bytes arrive."""

    def __init__(self, coding: str | None) -> None:
        self.coding = coding
        if coding in {"gzip", "deflate"}:
            self._stream: Any = zlib.decompressobj(31 if coding == "gzip" else 15)
        elif coding == "br":
            self._stream = brotli.Decompressor()
        elif coding == "zstd":
            self._stream = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, data: bytes) -> bytes:
        if self.coding is None:
            return data
        if self.coding != "br":
            return self._stream.decompress(data)
        pieces = [self._stream.process(data)] if data else []
        while pieces and pieces[-1]:
            pieces.append(self._stream.process(b""))
        return b"".join(pieces)

    @property
    def ended(self) -> bool:
        if self.coding is None:
            return True
        return self._stream.is_finished() if self.coding == "br" else self._stream.eof


@dataclass
class Answer:
    messages: list[Any] = field(default_factory=list)

    @property
    def start(self) -> Any:
        return next(each for each in self.messages if each["type"] == "http.response.start")

    @property
    def status(self) -> int:
        return self.start["status"]

    @property
    def headers(self) -> dict[str, str]:
        pairs = [(name.decode(), value.decode("latin-1")) for name, value in self.start["headers"]]
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    @property
    def coding(self) -> str | None:
        return self.headers.get("content-encoding")

    @property
    def parts(self) -> list[bytes]:
        return [each.get("body", b"") for each in self.messages if each["type"] == "http.response.body"]

    @property
    def raw(self) -> bytes:
        return b"".join(self.parts)

    @property
    def body(self) -> bytes:
        """Decoded; asserts that the coding came to its end, and nothing behind it."""
        stream = Stream(self.coding)
        decoded = stream.feed(self.raw)
        assert stream.ended
        return decoded


App = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture
def stream() -> type[Stream]:
    return Stream


@pytest.fixture
def says() -> Callable[..., App]:
    """`says(*parts, headers=, status=)`: an application that sends `parts`, one a message."""

    def made(*parts: bytes, headers: Sequence[tuple[bytes, bytes]] = (JSON,), status: int = 200) -> App:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            for number, part in enumerate(parts, start=1):
                await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

        return app

    return made


@pytest.fixture
def get() -> Callable[..., Awaitable[Answer]]:
    """`await get(app, accept, …)`: what leaves through Compression(app, **options). `into` may be an Answer that the
    test holds already, `sent` is awaited with every message."""

    async def got(
        app: App,
        accept: str | None = "gzip",
        *,
        method: str = "GET",
        headers: Sequence[tuple[bytes, bytes]] = (),
        extensions: Any = None,
        sent: Callable[[Any], Awaitable[None]] | None = None,
        into: Answer | None = None,
        version: str = "1.1",
        **options: Any,
    ) -> Answer:
        answer = Answer() if into is None else into

        async def send(message: Any) -> None:
            answer.messages.append(message)
            if sent is not None:
                await sent(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        asked = [] if accept is None else [(b"accept-encoding", accept.encode("latin-1"))]
        scope = {"type": "http", "http_version": version, "method": method, "path": "/"}
        scope |= {"headers": [*asked, *headers], "extensions": extensions}
        options.setdefault("pressure", lambda: Load.NORMAL)
        await Compression(app, **options)(scope, receive, send)
        return answer

    return got


@pytest.fixture
def answer() -> Answer:
    return Answer()


class Plain:
    """A coding that changes nothing, keeps what it takes in until it is flushed, and counts that."""

    def __init__(self) -> None:
        self.taken = b""
        self.flushes = 0
        self.codec = Codec("gzip", Levels(6, 1, 9), lambda level: self, lambda body, level: body)

    def encode(self, data: Any) -> bytes:
        self.taken += data
        return b""

    def flush(self) -> bytes:
        self.flushes += 1
        taken, self.taken = self.taken, b""
        return taken

    def finish(self) -> bytes:
        return self.flush() + b"."


class Sink:
    """A server's `send` that can be held up, and can fail, from the first part of the body on."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.begun = 0
        self.parts: list[bytes] = []

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.begun += 1
            await self.open.wait()
            if self.error is not None:
                raise self.error
            self.parts.append(message["body"])


@pytest.fixture
def plain() -> type[Plain]:
    return Plain


@pytest.fixture
async def sink() -> Sink:
    return Sink()


@pytest.fixture
def run(get: Any, sink: Sink) -> Callable[..., Awaitable[Any]]:
    """`await run(script)`: script(say) is an application behind its head; `say(chunk, more=True)` sends."""

    async def runs(
        script: Callable[[Any], Awaitable[None]], *, headers: Sequence[Any] = (JSON,), **options: Any
    ) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def say(body: bytes, more: bool = True) -> None:
                await send({"type": "http.response.body", "body": body, "more_body": more})

            await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
            await script(say)

        options.setdefault("codecs", [Plain().codec])
        return await get(app, sent=sink, **options)

    return runs
