"""What the `compression` extra brings: Brotli, Zstandard, and zlib-ng in zlib's place. The one file that knows them.

All three let go of the interpreter's lock while they work, so a large chunk in a thread leaves the loop free.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, cast

import brotli  # type: ignore[import-untyped]  # published without types
import zstandard
from zlib_ng import zlib_ng

from cortex_core.asgi.compression.codecs import GZIP, ZLIB, Chunk, Codec, Levels
from cortex_core.asgi.compression.decoders import PIECE, Decoder, Garbled, ZlibDecoder

_IDLE: Final = 4  # compressors kept a level: some megabytes each
_BROTLI_WINDOW: Final = 18  # bits, 256 KiB: at our levels a larger one saves nothing and is paid for in memory
_LARGEST_WINDOW: Final = 23  # bits, 8 MiB: RFC 9659's bound for zstd, kept for brotli too
_ZSTD_WINDOW: Final = 20  # bits, 1 MiB: half of the usual memory, and no body that we measured is larger for it
_ZSTD_NEAR: Final = 12  # bits: the 4,096 nearest places of short matches
_ZSTD_SLICE: Final = 64  # bytes: a block of four makes 128 KiB (RFC 8878 section 3.1.1.2), so a slice at most 2 MiB

_NG_ERRORS: Final = (cast("type[Exception]", zlib_ng.error),)  # its types call the class an instance


def extra_codecs() -> tuple[Codec, ...]:
    """zstd, br, gzip, deflate, each with a pool of its own where it has one."""
    zstd = ZstdPool()
    zlib_levels = Levels(normal=5, reduced=2, best=8)
    return (
        Codec("zstd", Levels(normal=3, reduced=1, best=12), partial(ZstdEncoder, zstd), zstd.whole),
        Codec("br", Levels(normal=4, reduced=1, best=9), BrotliEncoder, _brotli_whole),
        Codec("gzip", zlib_levels, partial(ZlibNgEncoder, GZIP), partial(_zlib_whole, GZIP)),
        Codec("deflate", zlib_levels, partial(ZlibNgEncoder, ZLIB), partial(_zlib_whole, ZLIB)),
    )


class ZlibNgEncoder:
    """zlib's, 1.5 to 2.5 times as fast at the same size."""

    __slots__ = ("_compressor",)

    def __init__(self, wbits: int, level: int) -> None:
        self._compressor = zlib_ng.compressobj(level, zlib_ng.DEFLATED, wbits)

    def encode(self, data: Chunk) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(zlib_ng.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


def _zlib_whole(wbits: int, body: bytes, level: int) -> bytes:
    return zlib_ng.compress(body, level, wbits)


class BrotliEncoder:
    """RFC 7932."""

    __slots__ = ("_compressor",)

    def __init__(self, level: int) -> None:
        self._compressor = brotli.Compressor(quality=level, lgwin=_BROTLI_WINDOW)

    def encode(self, data: Chunk) -> bytes:
        return self._compressor.process(data)  # type: ignore[no-any-return]  # untyped

    def flush(self) -> bytes:
        return self._compressor.flush()  # type: ignore[no-any-return]  # untyped

    def finish(self) -> bytes:
        return self._compressor.finish()  # type: ignore[no-any-return]  # untyped


def _brotli_whole(body: bytes, level: int) -> bytes:
    return brotli.compress(body, quality=level, lgwin=_BROTLI_WINDOW)  # type: ignore[no-any-return]  # untyped


class ZstdPool:
    """Compressors at rest, by level: a new one costs more than a small body. One that did not come to its end (the
    client left, the application failed) does not come back."""

    def __init__(self) -> None:
        self._idle: dict[int, deque[zstandard.ZstdCompressor]] = {}

    def take(self, level: int) -> zstandard.ZstdCompressor:
        try:
            return self._idle[level].pop()
        except LookupError:
            return _zstd_compressor(level)

    def give(self, level: int, compressor: zstandard.ZstdCompressor) -> None:
        self._idle.setdefault(level, deque(maxlen=_IDLE)).append(compressor)

    def whole(self, body: bytes, level: int) -> bytes:
        compressor = self.take(level)
        encoded = compressor.compress(body)
        self.give(level, compressor)
        return encoded


def _zstd_compressor(level: int) -> zstandard.ZstdCompressor:
    """zstd's own parameters for `level`, with a window no larger than RFC 9659 lets a client have to hold.

    The levels with a table for short matches beside the one for long ones (3 is one) look for short ones nearby only: a
    reference far back takes more bits than what it stands for, and looking takes time.
    """
    parameters = zstandard.ZstdCompressionParameters.from_level
    usual = parameters(level)
    if usual.strategy == zstandard.STRATEGY_DFAST:
        window, near = min(usual.window_log, _ZSTD_WINDOW), min(usual.chain_log, _ZSTD_NEAR)
        return zstandard.ZstdCompressor(compression_params=parameters(level, window_log=window, chain_log=near))
    if usual.window_log > _LARGEST_WINDOW:
        return zstandard.ZstdCompressor(compression_params=parameters(level, window_log=_LARGEST_WINDOW))
    return zstandard.ZstdCompressor(level=level)  # goes by the body's size, too, where that is known


class ZstdEncoder:
    """RFC 8878."""

    __slots__ = ("_compressor", "_level", "_pool", "_stream")

    def __init__(self, pool: ZstdPool, level: int) -> None:
        self._pool = pool
        self._level = level
        self._compressor = pool.take(level)
        self._stream = self._compressor.compressobj()

    def encode(self, data: Chunk) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        last = self._stream.flush()
        self._pool.give(self._level, self._compressor)
        return last


def extra_decoders() -> dict[str, type[Decoder]]:
    """By coding. gzip and deflate come in zlib-ng's version, which decodes faster."""
    return {"gzip": GzipDecoder, "deflate": DeflateDecoder, "br": BrotliDecoder, "zstd": ZstdDecoder}


class GzipDecoder(ZlibDecoder):
    """RFC 1952: one member or several."""

    errors = _NG_ERRORS
    several = True

    @staticmethod
    def _opened() -> Any:
        return zlib_ng.decompressobj(GZIP)


class DeflateDecoder(ZlibDecoder):
    """RFC 1950."""

    errors = _NG_ERRORS
    several = False

    @staticmethod
    def _opened() -> Any:
        return zlib_ng.decompressobj(ZLIB)


class BrotliDecoder:
    """RFC 7932. Refuses a window of 16 MiB: the decoder would fill it before the first byte comes out."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and data:
            self._begun = True
            if _brotli_window(data[0]) > _LARGEST_WINDOW:
                raise Garbled("it wants a window larger than 8 MiB")
        try:
            if data and self._stream.is_finished():
                raise Garbled("something follows its end")
            while piece := self._stream.process(data, output_buffer_limit=PIECE):
                yield piece
                data = b""  # there may be more inside, whatever it says of itself
        except brotli.error as error:
            raise Garbled("it cannot be decoded") from error

    def finish(self) -> None:
        if not self._stream.is_finished():
            raise Garbled("it ends too early")


def _brotli_window(first: int) -> int:
    """The window's bits, from a stream's first byte (RFC 7932 section 9.1)."""
    if not first & 1:
        return 16
    if (high := first >> 1 & 7) != 0:
        return 17 + high
    low = first >> 4 & 7
    return 8 + low if low else 17


class ZstdDecoder:
    """RFC 8878: one frame or several."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << _LARGEST_WINDOW)
        self._frame = self._decompressor.decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        view = memoryview(data)
        for begin in range(0, len(view), _ZSTD_SLICE):
            yield from self._decoded(view[begin : begin + _ZSTD_SLICE])

    def _decoded(self, data: Chunk) -> Iterator[bytes]:
        try:
            while data:
                if self._frame.eof:
                    self._frame = self._decompressor.decompressobj()
                piece = self._frame.decompress(data)
                if piece:
                    yield piece
                data = self._frame.unused_data
        except zstandard.ZstdError as error:
            raise Garbled("it cannot be decoded") from error

    def finish(self) -> None:
        if not self._frame.eof:
            raise Garbled("it ends too early")
