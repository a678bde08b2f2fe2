"""Pictures without a library: as much of PNG (https://www.w3.org/TR/png-3/) as the demonstration needs.

Writes 8-bit RGB. Reads 8-bit grey, RGB, with or without alpha, not interlaced; refuses the rest.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type
_RGB: Final = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels` are RGB, row by row, 8 bits each."""

    width: int
    height: int
    pixels: bytes

    def to_png(self) -> bytes:
        stride = self.width * 3
        rows = b"".join(b"\0" + self.pixels[start : start + stride] for start in range(0, len(self.pixels), stride))
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, _RGB, 0, 0, 0)
        return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")

    def is_grey_of(self, colourful: "Picture") -> bool:
        """Whether every pixel is the other's luma (ITU-R BT.601 in 16-bit fixed point), exactly."""
        if (self.width, self.height) != (colourful.width, colourful.height):
            return False
        red, green, blue = (colourful.pixels[channel::3] for channel in range(3))
        luma = bytes((19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in zip(red, green, blue, strict=True))
        return all(self.pixels[channel::3] == luma for channel in range(3))


def colourful(width: int = 320, height: int = 200) -> Picture:
    """Rings over a gradient: every hue, no two rows alike."""
    pixels = bytearray()
    for y in range(height):
        for x in range(width):
            ring = math.hypot(x - width / 2, y - height / 2) / 9
            pixels += bytes((x * 255 // (width - 1), y * 255 // (height - 1), round(127.5 + 127.5 * math.sin(ring))))
    return Picture(width, height, bytes(pixels))


def read_png(data: bytes) -> Picture:
    """Raises ValueError."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    header, compressed = b"", b""
    position = len(_SIGNATURE)
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        content = data[position + 8 : position + 8 + length]
        header = content if kind == b"IHDR" else header
        compressed += content if kind == b"IDAT" else b""
        position += length + 12
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour not in _CHANNELS or interlace:
        raise ValueError(f"a PNG of depth {depth}, colour type {colour}, interlace {interlace} is not read here")
    samples = _unfiltered(zlib.decompress(compressed), width * _CHANNELS[colour], _CHANNELS[colour])
    return Picture(width, height, _as_rgb(samples, _CHANNELS[colour]))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _unfiltered(rows: bytes, stride: int, pixel: int) -> bytes:
    """Section 9.2: each row's first byte says how the rest was predicted from the left, above and above-left."""
    above = bytes(stride)
    out = bytearray()
    for start in range(0, len(rows), stride + 1):
        kind, row = rows[start], bytearray(rows[start + 1 : start + 1 + stride])
        for index, up in enumerate(above):
            left = row[index - pixel] if index >= pixel else 0
            corner = above[index - pixel] if index >= pixel else 0
            row[index] = (row[index] + _predicted(kind, left, up, corner)) & 0xFF
        out += row
        above = bytes(row)
    return bytes(out)


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return up
        case 3:
            return (left + up) // 2
        case 4:
            estimate = left + up - corner
            return min((left, up, corner), key=lambda neighbour: abs(estimate - neighbour))  # ties: in this order
    raise ValueError(f"no PNG filter {kind}")


def _as_rgb(samples: bytes, channels: int) -> bytes:
    if channels == 3:
        return samples
    planes = [samples[channel::channels] for channel in range(channels)]
    red, green, blue = (planes[0],) * 3 if channels < 3 else planes[:3]
    out = bytearray(len(red) * 3)
    out[0::3], out[1::3], out[2::3] = red, green, blue
    return bytes(out)
