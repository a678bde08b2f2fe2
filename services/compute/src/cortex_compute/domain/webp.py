"""WebP as a container (RFC 9649): its size, and its pixels without what else may be in there."""

from collections.abc import Iterator
from typing import Final

from cortex_compute.domain.errors import UnreadableImage
from cortex_compute.domain.image import Contents, Header, ImageFormat
from cortex_compute.domain.metadata import MAX_EXIF, MAX_PROFILE, orientation_of

_ANIMATION: Final = 0x02
_METADATA: Final = 0x20 | 0x08 | 0x04  # the flags for ICC profile, EXIF and XMP
_PIXELS: Final = frozenset({b"ALPH", b"VP8 ", b"VP8L"})
_MAX_CHUNKS: Final = 1_000


def is_webp(body: bytes) -> bool:
    return body[:4] == b"RIFF" and body[8:12] == b"WEBP"


def header(body: bytes) -> Header:
    """Raises UnreadableImage."""
    kind, start = body[12:16], 20
    size: tuple[int, int] | None = None
    animated = False
    if kind == b"VP8X" and len(body) >= start + 10:
        size = _little(body, start + 4, 3) + 1, _little(body, start + 7, 3) + 1
        animated = bool(body[start] & _ANIMATION)
    elif kind == b"VP8L" and len(body) >= start + 5 and body[start] == 0x2F:
        bits = _little(body, start + 1, 4)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and len(body) >= start + 10 and body[start + 3 : start + 6] == b"\x9d\x01\x2a":
        size = _little(body, start + 6, 2) & 0x3FFF, _little(body, start + 8, 2) & 0x3FFF
    if size is None or not all(size):
        raise UnreadableImage("a WebP without its header")
    return Header(ImageFormat.WEBP, *size, animated=animated)


def contents(body: bytes) -> Contents:
    """Raises UnreadableImage where it is truncated."""
    whole = memoryview(body)  # parts of it are no copies
    parts: list[bytes | memoryview] = []
    kinds: set[bytes] = set()
    found: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(body):
        kinds.add(kind)
        if kind == b"VP8X":
            flags = body[start] & ~_METADATA if end > start else 0
            parts += [body[start - 8 : start], bytes([flags]), whole[start + 1 : end + (end & 1)]]
        elif kind in _PIXELS:
            parts.append(whole[start - 8 : end + (end & 1)])
        elif kind in {b"EXIF", b"ICCP"}:
            found.setdefault(kind, body[start : min(end, start + max(MAX_EXIF, MAX_PROFILE) + 1)])
    if not kinds & {b"VP8 ", b"VP8L"}:
        raise UnreadableImage("a WebP without pixels")
    length = 4 + sum(map(len, parts))
    profile = found.get(b"ICCP")
    return Contents(
        b"".join((b"RIFF", length.to_bytes(4, "little"), b"WEBP", *parts)),
        orientation_of(found.get(b"EXIF")),
        profile if profile is not None and len(profile) <= MAX_PROFILE else None,
        lossless=b"VP8L" in kinds,
    )


def _chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's type, and where its data begins and ends. Raises UnreadableImage where one leaves the file."""
    size = 8 + _little(body, 4, 4)
    if size > len(body):
        raise UnreadableImage("a truncated WebP")
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > size:
            return
        start = at + 8
        end = start + _little(body, at + 4, 4)
        if end > size:
            raise UnreadableImage("a truncated WebP")
        yield body[at : at + 4], start, end
        at = end + (end & 1)
    raise UnreadableImage(f"a WebP of more than {_MAX_CHUNKS} chunks")


def _little(body: bytes, start: int, length: int) -> int:
    return int.from_bytes(body[start : start + length], "little")
