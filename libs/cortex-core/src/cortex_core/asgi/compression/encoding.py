"""The encoding of one body: at one go, as a stream, or from what is kept. Sends the head when it knows its length.

Nothing of it outlives the response; the compressor goes back to its pool only if it came to its end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from cortex_core.asgi.compression import rules
from cortex_core.asgi.compression.codecs import Chunk, Codec, Encoder
from cortex_core.asgi.compression.deciding import Worth
from cortex_core.asgi.compression.precompressed import Key, Precompressed
from cortex_core.asgi.compression.pressure import Load
from cortex_core.asgi.compression.threads import in_thread
from cortex_core.asgi.compression.turn import Turn
from cortex_core.asgi.types import Message, Send

_SLICE: Final = 256 * 1024  # bytes: what a thread compresses at a time, and so what a giant chunk may cost in memory


@dataclass(frozen=True, slots=True)
class CompressionDetails:
    """What became of a response. Sizes are in bytes, of the body before and after; `level` is the codec's own number,
    `kept` true where it was compressed for somebody before. `complete` is false where the body did not come to its
    end: the application failed, or the client left."""

    coding: str
    level: int
    load: Load
    size_in: int
    size_out: int
    kept: bool
    complete: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What `Compression` was told; see there."""

    worth: Worth
    off_loop: int
    pressure: Callable[[], Load]
    precompressed: Precompressed | None
    on_response: Callable[[CompressionDetails], None] | None


class Encoding:
    """`start` is the head, not sent yet. `declared` is its Content-Length: a body that is not as long is an error here
    as it would be in the server, which cannot see it any more. `spared`: what is not kept goes out as it is. `joins`:
    chunks of one turn of the loop are one."""

    def __init__(
        self,
        terms: Terms,
        codec: Codec,
        load: Load,
        start: Message,
        send: Send,
        *,
        declared: int | None,
        spared: bool,
        joins: bool,
    ) -> None:
        self._terms = terms
        self._codec = codec
        self._load = load
        self._level = codec.levels.normal if load is Load.NORMAL else codec.levels.reduced
        self._start = start
        self._send = send
        self._declared = declared
        self._spared = spared
        self._joins = joins
        self._stream: tuple[Encoder, Turn] | None = None
        self._parts: list[bytes] = []
        self._size_in = self._size_out = 0
        self._begun = self._found = self._complete = False

    async def bodiless(self, message: Message) -> None:
        """The answer to HEAD: GET's head, without the length that nobody has counted. The server sends no body."""
        if not self._begun:
            await self._send_head(None)
        await self._send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    async def body(self, message: Message) -> None:
        """One message of the body, or what follows it."""
        if message["type"] != "http.response.body":  # trailers
            return await self._send(message)
        data, more = self._counted(message)
        if self._stream is None:
            if not more and len(data) <= self._terms.off_loop:
                return await self._send_whole(self._codec.whole(data, self._level))
            encoder = self._codec.encoder(self._level)
            self._stream = encoder, Turn(encoder, partial(self._send_part, more=True))
            await self._send_head(None)
        await self._encode(*self._stream, data, more=more)

    async def kept(self, message: Message) -> None:
        """One message of a body that is kept, or what follows it. Nothing goes out before the body is whole."""
        if message["type"] != "http.response.body":
            return await self._send(message)
        data, more = self._counted(message)
        self._parts.append(data)
        if not more:
            await self._send_kept(b"".join(self._parts))

    async def settled(self) -> None:
        """What was taken in of a body that has no end is sent."""
        if self._stream is not None and not self._complete:
            await self._stream[1].settled()

    def close(self) -> None:
        """Drops what is held, frees the compressor, and reports what was encoded."""
        if self._stream is not None:
            self._stream[1].drop()
            self._stream = None
        report = self._terms.on_response
        if report is not None and self._begun and self._size_in:
            report(
                CompressionDetails(
                    coding=self._codec.name,
                    level=self._level,
                    load=self._load,
                    size_in=self._size_in,
                    size_out=self._size_out,
                    kept=self._found,
                    complete=self._complete,
                )
            )

    def _counted(self, message: Message) -> tuple[bytes, bool]:
        data, more = message.get("body", b""), message.get("more_body", False)
        self._size_in += len(data)
        declared = self._declared
        if declared is not None and (self._size_in > declared or (self._size_in < declared and not more)):
            raise RuntimeError(f"a Content-Length of {declared} was promised; the body has {self._size_in} bytes")
        return data, more

    async def _send_head(self, length: int | None) -> None:
        self._begun = True
        headers = rules.encoded(self._start.get("headers", ()), self._codec.name, length)
        await self._send({**self._start, "headers": headers})

    async def _send_whole(self, encoded: bytes) -> None:
        await self._send_head(len(encoded))
        await self._send_part(encoded, more=False)

    async def _send_part(self, encoded: bytes, *, more: bool) -> None:
        self._size_out += len(encoded)
        await self._send({"type": "http.response.body", "body": encoded, "more_body": more})
        self._complete = not more

    async def _encode(self, encoder: Encoder, turn: Turn, data: bytes, *, more: bool) -> None:
        if not data and more:
            return
        ending = encoder.flush if more else encoder.finish
        if len(data) > self._terms.off_loop:
            await self._encode_off_loop(encoder, await turn.taken(), data, ending, more=more)
        elif more and self._joins:
            await turn.take(data)
        else:
            await self._send_part(await turn.taken() + encoder.encode(data) + ending(), more=more)

    async def _encode_off_loop(
        self, encoder: Encoder, before: bytes, data: bytes, ending: Callable[[], bytes], *, more: bool
    ) -> None:
        view = memoryview(data)
        for begin in range(0, len(view), _SLICE):
            last = begin + _SLICE >= len(view)
            encoded = before + await in_thread(
                _advance, encoder, view[begin : begin + _SLICE], ending if last else None
            )
            before = b""
            if encoded or last:
                await self._send_part(encoded, more=more or not last)

    async def _send_kept(self, body: bytes) -> None:
        kept = self._terms.precompressed
        assert kept is not None  # noqa: S101 - for the type checker: who has none is not sent here
        key = kept.key(self._codec.name, body)
        encoded = kept.get(key)
        self._found = encoded is not None
        if encoded is None and self._spared:
            await self._send({**self._start, "headers": rules.varied(self._start.get("headers", ()))})
            return await self._send({"type": "http.response.body", "body": body, "more_body": False})
        await self._send_whole(encoded if encoded is not None else await self._made(kept, key, body))

    async def _made(self, kept: Precompressed, key: Key, body: bytes) -> bytes:
        if self._load is not Load.NORMAL or not kept.claim(key):
            return await in_thread(self._codec.whole, body, self._level)
        try:
            self._level = self._codec.levels.best
            encoded = await in_thread(self._codec.whole, body, self._level)
            kept.put(key, encoded)
        finally:
            kept.release(key)
        return encoded


def _advance(encoder: Encoder, data: Chunk, ending: Callable[[], bytes] | None) -> bytes:
    encoded = encoder.encode(data)
    return encoded if ending is None else encoded + ending()
