"""Compression for the express lane: what `asgi.Compression` does with messages, done with bytes.

Owns no rule: which coding a client gets, which answers are encoded and what becomes of their fields is decided by the
parts of `asgi.compression`, the middleware's own. What differs: nobody waits for a thread, so whoever writes brings a
part as it was read from a connection (at most 256 KiB); every part is flushed; and an immutable body is compressed as
usual the first time, while its best form is made for the next. Next: `recurring.py` keeps what was decided of a head.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from cortex_core.asgi.compression import (
    Choice,
    Codec,
    CompressionDetails,
    Load,
    Precompressed,
    Pressure,
    Worth,
    compressible,
    installed_codecs,
    negotiate,
    rules,
)
from cortex_core.asgi.compression import Encoder as Compressor
from cortex_core.asgi.compression.negotiation import UNASKED
from cortex_core.asgi.compression.precompressed import Key
from cortex_core.asgi.compression.rules import RawHeaders
from cortex_core.asgi.compression.threads import in_thread
from cortex_core.asgi.types import Headers
from cortex_gateway.ports import Head

_WORDS: Final = frozenset({206, 304})  # they speak of a 200 that is not there


class Encoder:
    """What a process compresses with. `pressure` and `precompressed` are shared with the middleware; `on_response` gets
    one CompressionDetails an encoded answer, whatever its end."""

    def __init__(
        self,
        *,
        threshold: int,
        pressure: Callable[[], Load] | None = None,
        on_response: Callable[[CompressionDetails], None] | None = None,
        precompressed: Precompressed | None = None,
    ) -> None:
        self.precompressed = precompressed
        self.worth = Worth(threshold, compressible)
        self.pressure = pressure or Pressure()
        self.on_response = on_response
        self._codecs = {codec.name: codec for codec in installed_codecs()}
        self._order = tuple(self._codecs)
        self._making: set[asyncio.Task[bytes]] = set()

    def choice(self, accept_encoding: bytes | None) -> Choice:
        """What a client gets. Neither a coding nor identity: 406, which is for the application to say."""
        return UNASKED if accept_encoding is None else negotiate(accept_encoding.decode("latin-1"), self._order)

    @property
    def untouched_below(self) -> int:
        """A final answer (none of 206, 304) of fewer bytes passes as it is, where identity is accepted."""
        return self.worth.threshold

    def _is_small(self, length: int | None) -> bool:
        return length is not None and length < self.worth.threshold

    def begin(
        self,
        accept_encoding: bytes | None,
        head: Head,
        method: bytes,
        *,
        held: bytes = b"",
        old: bool = False,
        kept: bool = False,
    ) -> "Encoding | None":
        """None: the answer passes as it is. `held` is the client's `If-None-Match`. `old`: it knows no chunks
        (HTTP/1.0). `kept`: the encoded body will be used again, so that no pressure is a reason not to make it."""
        coding, identity = self.choice(accept_encoding)
        bodiless = method == b"HEAD"
        if not bodiless and identity and head.status not in _WORDS and self._is_small(head.length):
            return None  # as most are
        pairs = pairs_of(head.fields)
        found = rules.read(pairs)
        codec = self._codecs.get(coding) if coding else None
        if rules.untouchable(head.status, found):
            whole = head.status in _WORDS and self.worth.for_the_whole(
                head.status, pairs, found, held=held, encodes=codec is not None, identity=identity
            )
            return Encoding(whole, head.length) if whole else None
        declared = rules.declared_length(found)
        length = declared if bodiless or head.length is None else head.length
        if not self.worth.varies(found, length, identity=identity):
            return None
        load = Load.NORMAL if kept else self.pressure()
        spared = load is Load.OFF and identity
        if codec is None or spared or (old and not bodiless and head.length is None):
            return Encoding(rules.varied(pairs), head.length)
        return Encoded(self, pairs, codec, load)

    def kept(self, pairs: Headers, codec: Codec, body: bytes) -> bytes | None:
        """An immutable body as it was compressed before. The first time it is made, off the loop, for those to come."""
        store = self.precompressed
        if store is None or len(body) > store.max_body or not store.applies({}, pairs):
            return None
        key = store.key(codec.name, body)
        found = store.get(key)
        if found is None and self.pressure() is Load.NORMAL and store.claim(key):
            task = asyncio.ensure_future(in_thread(codec.whole, body, codec.levels.best))
            self._making.add(task)
            task.add_done_callback(partial(self._made, store, key))
        return found

    def _made(self, store: Precompressed, key: Key, task: "asyncio.Task[bytes]") -> None:
        self._making.discard(task)
        store.release(key)
        if not task.cancelled() and task.exception() is None:
            store.put(key, task.result())


class Encoding:
    """One answer of which only the head was rewritten: its body passes as it is.

    `fields` is the head's; `length` that of the body to be sent, None where it goes out in chunks (or, to HEAD, is not
    told). Either `whole` once, before `fields` is read, or `write` for each part and `finish`. `close` in any case.
    """

    coding: str | None = None

    def __init__(self, pairs: Headers, length: int | None) -> None:
        self.length = length
        self._pairs = pairs

    @property
    def fields(self) -> bytes:
        """Lines, each ended by CRLF."""
        return lines_of(self._pairs)

    def whole(self, body: bytes) -> bytes:
        """All of the body at one go."""
        return body

    def write(self, data: bytes) -> bytes:
        """The next part: what goes out for it, from which everything so far can be decoded."""
        return data

    def finish(self) -> bytes:
        """What goes out after the last part."""
        return b""

    def close(self) -> None:
        """Nothing more is written, whether it was finished or not."""


class Encoded(Encoding):
    """One answer whose body is compressed on its way."""

    coding: str

    def __init__(self, encoder: Encoder, pairs: Headers, codec: Codec, load: Load) -> None:
        super().__init__(rules.encoded(pairs, codec.name, None), None)
        self.coding = codec.name
        self.codec = codec
        self._load = load
        self._level = level_of(codec, load)
        self._encoder = encoder
        self._found = False
        self._stream: Compressor | None = None
        self._size_in = self._size_out = 0
        self._complete = False

    def whole(self, body: bytes) -> bytes:
        encoded = self._encoder.kept(self._pairs, self.codec, body)
        self._found = encoded is not None
        if encoded is None:
            encoded = self.codec.whole(body, self._level)
        self.sized(len(encoded))
        self._count(len(body), encoded)
        self._complete = True
        return encoded

    def sized(self, length: int) -> None:
        """The encoded body is known to have so many bytes."""
        self.length = length
        self._pairs = [*self._pairs, (b"content-length", b"%d" % length)]

    def write(self, data: bytes) -> bytes:
        stream = self._compressor()
        return self._count(len(data), stream.encode(data) + stream.flush())

    def finish(self) -> bytes:
        self._complete = True
        return self._count(0, self._compressor().finish())

    def close(self) -> None:
        """Drops the compressor, and reports what was encoded."""
        self._stream = None
        report = self._encoder.on_response
        if report is not None and self._size_in:
            size_in, self._size_in = self._size_in, 0
            report(
                CompressionDetails(
                    coding=self.codec.name,
                    level=self._level,
                    load=self._load,
                    size_in=size_in,
                    size_out=self._size_out,
                    kept=self._found,
                    complete=self._complete,
                )
            )

    def _compressor(self) -> Compressor:
        if self._stream is None:
            self._stream = self.codec.encoder(self._level)
        return self._stream

    def _count(self, size_in: int, out: bytes) -> bytes:
        self._size_in += size_in
        self._size_out += len(out)
        return out


def level_of(codec: Codec, load: Load) -> int:
    """What a body is compressed at; `Load.OFF` is for who refuses it as it is."""
    return codec.levels.normal if load is Load.NORMAL else codec.levels.reduced


def pairs_of(fields: bytes) -> RawHeaders:
    """Header lines, each ended by CRLF, as pairs. Names keep their case."""
    pairs = []
    for line in fields.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            pairs.append((name, value.strip(b" \t")))
    return pairs


def lines_of(pairs: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in pairs])
