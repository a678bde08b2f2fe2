"""The way back: a decoder gives what it decodes in pieces, so that no input, whatever it grows to, is in memory whole.

gzip and deflate by the standard library; the others are in `extra.py`.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Protocol

from cortex_core.asgi.compression.codecs import GZIP, ZLIB

PIECE: Final = 64 * 1024  # bytes decoded at a time


class Garbled(Exception):
    """The bytes are not what their coding says. The message completes `the body is not …: `."""


class Decoder(Protocol):
    """Decodes one body."""

    def __init__(self) -> None: ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` decodes to, in pieces of about PIECE bytes (zstd: at most 2 MiB). Raises Garbled."""
        ...

    def finish(self) -> None:
        """Raises Garbled where what was fed is not the whole of it."""
        ...


def installed_decoders() -> dict[str, type[Decoder]]:
    """By coding, in the order in which we like them."""
    try:
        from cortex_core.asgi.compression.extra import extra_decoders  # late: the extra may be missing
    except ImportError:
        return standard_decoders()
    return extra_decoders()


def standard_decoders() -> dict[str, type[Decoder]]:
    return {"gzip": GzipDecoder, "deflate": DeflateDecoder}


class ZlibDecoder(ABC):
    """What zlib and zlib-ng have in common. `several`: streams may follow one another."""

    errors: ClassVar[tuple[type[Exception], ...]]
    several: ClassVar[bool]

    def __init__(self) -> None:
        self._stream = self._opened()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                data = self._next_stream(data) if self._stream.eof else data
                piece = self._stream.decompress(data, PIECE)
                while piece:
                    yield piece
                    piece = b"" if self._stream.eof else self._stream.decompress(self._stream.unconsumed_tail, PIECE)
                data = self._stream.unused_data
        except self.errors as error:
            raise Garbled("it cannot be decoded") from error

    @staticmethod
    @abstractmethod
    def _opened() -> Any:
        """A decompressobj of zlib's or zlib-ng's."""

    def _next_stream(self, data: bytes) -> bytes:
        if not self.several:
            raise Garbled("something follows its end")
        self._stream = self._opened()
        return data

    def finish(self) -> None:
        if not self._stream.eof:
            raise Garbled("it ends too early")


class GzipDecoder(ZlibDecoder):
    """RFC 1952: one member or several."""

    errors = (zlib.error,)
    several = True

    @staticmethod
    def _opened() -> Any:
        return zlib.decompressobj(GZIP)


class DeflateDecoder(ZlibDecoder):
    """RFC 1950: in HTTP `deflate` is the zlib format (RFC 9110 section 8.4.1.2); without its wrapper it is refused."""

    errors = (zlib.error,)
    several = False

    @staticmethod
    def _opened() -> Any:
        return zlib.decompressobj(ZLIB)
