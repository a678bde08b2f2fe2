"""Images for compute, the dearest there are, and sending them."""

import http.client
import os
import struct
import zlib
from typing import Final
from urllib.parse import urlsplit

BROKEN_OFF: Final = 0
"""Instead of a status: refused while the file was still being sent, and the answer lost with the connection."""


def noise(width: int, height: int) -> bytes:
    """An RGBA PNG that nothing makes smaller."""
    rows = b"".join(b"\0" + os.urandom(width * 4) for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def post_image(url: str, image: bytes) -> int:
    """The status of asking the hub at `url` for it in grey; BROKEN_OFF where none came."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("POST", "/api/compute/images?operation=grayscale", image, {"Content-Type": "image/png"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return BROKEN_OFF
    else:
        return answer.status
    finally:
        connection.close()
