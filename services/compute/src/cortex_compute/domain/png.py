"""PNG as a container (https://www.w3.org/TR/png-3/): its size, and its pixels without what else may be in there.

Text and profiles are compressed: a few kilobytes can stand for gigabytes. Text never reaches a decoder, a profile is
inflated up to its bound and no further.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from cortex_compute.domain.errors import UnreadableImage
from cortex_compute.domain.image import Contents, Header, ImageFormat
from cortex_compute.domain.metadata import MAX_EXIF, MAX_PROFILE, orientation_of

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MAX_CHUNKS: Final = 100_000  # 8 KiB each is what common encoders write
_MAX_BEFORE_PIXELS: Final = 1_000


def header(body: bytes) -> Header:
    """Raises UnreadableImage. Looks at no more than the first thousand chunks."""
    if body[12:16] != b"IHDR" or body[8:12] != b"\0\0\0\x0d" or len(body) < 33:
        raise UnreadableImage("a PNG without its header")
    width, height = struct.unpack_from(">II", body, 16)
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise UnreadableImage(f"a PNG of {width} by {height} pixels")
    for number, (kind, _start, _end) in enumerate(_chunks(body)):
        if kind == b"acTL":
            return Header(ImageFormat.PNG, width, height, animated=True)
        if kind == b"IDAT":
            return Header(ImageFormat.PNG, width, height)
        if number >= _MAX_BEFORE_PIXELS:
            raise UnreadableImage("a PNG of a thousand chunks and no pixels among them")
    raise UnreadableImage("a PNG without pixels")


def contents(body: bytes) -> Contents:
    """Raises UnreadableImage where it is truncated, or a chunk that matters is damaged."""
    exif, profile, kind = None, None, b""
    whole = memoryview(body)  # parts of it are no copies: the file is in memory twice, and not three times
    parts: list[bytes | memoryview] = [SIGNATURE]
    for number, (kind, start, end) in enumerate(_chunks(body)):
        if number >= _MAX_CHUNKS:
            raise UnreadableImage(f"a PNG of more than {_MAX_CHUNKS} chunks")
        if kind in _PIXELS:
            if zlib.crc32(whole[start - 4 : end]) != int.from_bytes(body[end : end + 4]):
                raise UnreadableImage(f"a PNG whose {kind.decode()} chunk is damaged")
            parts.append(whole[start - 8 : end + 4])
        elif kind == b"eXIf":
            exif = body[start : min(end, start + MAX_EXIF)]
        elif kind == b"iCCP":
            profile = _profile(body[start : min(end, start + 2 * MAX_PROFILE)])
        if kind == b"IEND":
            break
    if kind != b"IEND":
        raise UnreadableImage("a truncated PNG")
    return Contents(b"".join(parts), orientation_of(exif), profile, depth=body[24])


def _chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's type, and where its data begins and ends. Raises UnreadableImage where one leaves the body."""
    at = len(SIGNATURE)
    while at < len(body):
        if at + 12 > len(body):
            raise UnreadableImage("a truncated PNG")
        length = int.from_bytes(body[at : at + 4])
        start, end = at + 8, at + 8 + length
        if end + 4 > len(body):
            raise UnreadableImage("a truncated PNG")
        yield body[at + 4 : at + 8], start, end
        at = end + 4


def _profile(data: bytes) -> bytes | None:
    """The profile in an iCCP chunk. None where it is damaged or beyond its bound: the image can be shown without."""
    _name, _, rest = data.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflate.eof else None
