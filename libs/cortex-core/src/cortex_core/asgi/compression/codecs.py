"""Codings: what turns chunks into fewer bytes. gzip and deflate by the standard library; zlib-ng, Brotli and Zstandard
come with the `compression` extra (`extra.py`).

Levels were chosen by measurement: docs/adr/0009-compression.md.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

Chunk = bytes | memoryview

ORDER: Final = ("zstd", "br", "gzip", "deflate")
GZIP, ZLIB = 31, 15  # zlib's window bits: 32 KiB, in gzip's wrapper (RFC 1952) or in zlib's own (RFC 1950)


class Encoder(Protocol):
    """The compressor of one response. Used by one thread at a time."""

    def encode(self, data: Chunk) -> bytes:
        """Takes `data` in; gives what is ready, often nothing."""
        ...

    def flush(self) -> bytes:
        """With this, everything taken in so far can be decoded."""
        ...

    def finish(self) -> bytes:
        """The end. The encoder is not used again."""
        ...


@dataclass(frozen=True, slots=True)
class Levels:
    """A codec's own numbers: every day, under pressure, and for what is compressed once and sent often."""

    normal: int
    reduced: int
    best: int


@dataclass(frozen=True, slots=True)
class Codec:
    """A content coding by its registered name: `encoder(level)` for a stream, `whole(body, level)` at one go."""

    name: str
    levels: Levels
    encoder: Callable[[int], Encoder]
    whole: Callable[[bytes, int], bytes]


def installed_codecs(names: Sequence[str] = ORDER) -> tuple[Codec, ...]:
    """Those of `names` that can be had here, in that order. Raises ValueError for a name that is no coding of ours."""
    unknown = [name for name in names if name not in ORDER]
    if unknown:
        raise ValueError(f"names: {', '.join(unknown)} is not among {', '.join(ORDER)}")
    try:
        from cortex_core.asgi.compression.extra import extra_codecs  # late: the extra may be missing
    except ImportError:
        found = standard_codecs()
    else:
        found = extra_codecs()
    by_name = {codec.name: codec for codec in found}
    return tuple(by_name[name] for name in names if name in by_name)


def standard_codecs() -> tuple[Codec, ...]:
    """gzip and deflate by the interpreter's own zlib."""
    levels = Levels(normal=6, reduced=1, best=9)
    return (
        Codec("gzip", levels, lambda level: ZlibEncoder(level, GZIP), lambda body, level: _whole(body, level, GZIP)),
        Codec("deflate", levels, lambda level: ZlibEncoder(level, ZLIB), lambda body, level: _whole(body, level, ZLIB)),
    )


class ZlibEncoder:
    """`wbits` chooses the wrapper."""

    __slots__ = ("_compressor",)

    def __init__(self, level: int, wbits: int) -> None:
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, wbits)

    def encode(self, data: Chunk) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


def _whole(body: bytes, level: int, wbits: int) -> bytes:
    return zlib.compress(body, level, wbits)
