"""Pictures in and out of the processor, for its tests."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence

from PIL import Image, ImageCms

from cortex_compute.adapters.kernels import load_module
from cortex_compute.adapters.processor import ImageProcessor, Job
from cortex_compute.domain import Operation, read_header

Encode = Callable[..., bytes]
Colourful = Callable[..., Image.Image]
Oracle = Callable[[bytes], bytes]

PROCESSOR = ImageProcessor(load_module())
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]


def process(body: bytes) -> bytes:
    return PROCESSOR(Job(body, read_header(body), Operation.GRAYSCALE)).body


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def png(
    width: int, depth: int, colour: int, rows: Sequence[bytes], palette: bytes = b"", transparent: bytes = b""
) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))]
    parts += [chunk(b"PLTE", palette)] if palette else []
    parts += [chunk(b"tRNS", transparent)] if transparent else []
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
