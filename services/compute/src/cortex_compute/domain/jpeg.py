"""JPEG as a container (ITU-T T.81, annex B): its size, and its pixels without what else may be in there."""

from collections.abc import Iterator
from typing import Final

from cortex_compute.domain.errors import UnreadableImage
from cortex_compute.domain.image import Contents, Header, ImageFormat
from cortex_compute.domain.metadata import MAX_PROFILE, orientation_of

SIGNATURE: Final = b"\xff\xd8\xff"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, of any kind
_SCAN: Final = 0xDA
_END: Final = 0xD9
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a segment
_APP1: Final = 0xE1
_APP2: Final = 0xE2
# applications' data and comments, except JFIF's and what Adobe says about the colours
_LEFT_OUT: Final = frozenset(range(0xE0, 0xF0)) - {0xE0, 0xEE} | {0xFE}
_ICC: Final = b"ICC_PROFILE\0"
_MAX_SEGMENTS: Final = 2_000
_MAX_SCANS: Final = 100  # a scan of a few bytes costs a pass over all pixels; progressive files have some ten


def header(body: bytes) -> Header:
    """Raises UnreadableImage. Looks at no more than the first two thousand segments."""
    for marker, start, end in _segments(body):
        if marker in _FRAMES:
            if end - start < 6:
                break
            height, width = int.from_bytes(body[start + 1 : start + 3]), int.from_bytes(body[start + 3 : start + 5])
            if not width or not height:
                raise UnreadableImage(f"a JPEG of {width} by {height} pixels")
            return Header(ImageFormat.JPEG, width, height)
        if marker == _SCAN:
            break
    raise UnreadableImage("a JPEG without its header")


def contents(body: bytes) -> Contents:
    """Raises UnreadableImage. A second picture behind the first (a preview, a gain map) is left out."""
    exif, profile = None, _Profile()
    whole = memoryview(body)  # parts of it are no copies
    parts: list[bytes | memoryview] = [b"\xff\xd8"]
    for marker, start, end in _segments(body):
        if marker == _SCAN:
            if body.count(b"\xff\xda", start) + 1 > _MAX_SCANS:
                raise UnreadableImage(f"a JPEG of more than {_MAX_SCANS} scans")
            return Contents(b"".join((*parts, whole[start - 4 :])), orientation_of(exif), profile.whole())
        if marker == _APP1 and exif is None and body.startswith(b"Exif\0\0", start):
            exif = body[start:end]
        elif marker == _APP2 and body.startswith(_ICC, start):
            profile.add(body[start + len(_ICC) : end])
        elif marker not in _LEFT_OUT:
            parts.append(whole[start - 4 : end])
    raise UnreadableImage("a JPEG without pixels")


def _segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment's marker, and where its data begins and ends, up to the first scan's header."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if body[at : at + 1] != b"\xff":
            raise UnreadableImage("a JPEG with something else where a marker should be")
        marker = body[at + 1] if at + 1 < len(body) else _END
        if marker == _END:
            raise UnreadableImage("a JPEG that ends before its pixels")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _ALONE:
            at += 2
            continue
        length = int.from_bytes(body[at + 2 : at + 4])
        end = at + 2 + length
        if length < 2 or end > len(body):
            raise UnreadableImage("a truncated JPEG")
        yield marker, at + 4, end
        if marker == _SCAN:
            return
        at = end
    raise UnreadableImage(f"a JPEG of more than {_MAX_SEGMENTS} segments")


class _Profile:
    """An ICC profile in numbered parts (ICC.1:2022, B.4). Damaged or beyond its bound it is none."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}
        self._count = 0

    def add(self, part: bytes) -> None:
        if len(part) >= 2:
            self._parts[part[0]] = part[2:]
            self._count = part[1]

    def whole(self) -> bytes | None:
        if not self._parts or sorted(self._parts) != list(range(1, self._count + 1)):
            return None
        if sum(map(len, self._parts.values())) > MAX_PROFILE:
            return None
        return b"".join(self._parts[number] for number in sorted(self._parts))
