"""Chunked bodies that are wrong, or that are mostly something else than a body."""

from typing import Final

from cortex_core.testing.hostile.entries import Hostile, chunked

KIB: Final = 1024


def _chunk(name: str, body: bytes, *, endless: bool = False) -> Hostile:
    return Hostile("chunk", name, chunked(body), 400, "http.bad-framing", endless=endless)


BODIES: Final = (
    _chunk("size of no digit", b"g\r\nx\r\n0\r\n\r\n"),
    _chunk("size with 0x", b"0x1\r\nx\r\n0\r\n\r\n"),
    _chunk("size with a plus", b"+1\r\nx\r\n0\r\n\r\n"),
    _chunk("size with a minus", b"-1\r\nx\r\n0\r\n\r\n"),
    _chunk("size with an underscore", b"1_0\r\nx\r\n0\r\n\r\n"),
    _chunk("size behind a blank", b" 1\r\nx\r\n0\r\n\r\n"),
    _chunk("size before a blank", b"1 \r\nx\r\n0\r\n\r\n"),
    _chunk("size before a tab", b"1\t\r\nx\r\n0\r\n\r\n"),
    _chunk("no size", b"\r\nx\r\n0\r\n\r\n"),
    _chunk("size beyond 64 bits", b"10000000000000001\r\nx\r\n0\r\n\r\n"),
    _chunk("size ended by LF", b"1\nx\r\n0\r\n\r\n"),
    _chunk("size ended by CR", b"1\rx\r\n0\r\n\r\n"),
    _chunk("data longer than its size", b"1\r\nxy\r\n0\r\n\r\n"),
    _chunk("data ended by LF", b"1\r\nx\n0\r\n\r\n"),
    _chunk("data without an end", b"1\r\nx0\r\n\r\n"),
    _chunk("last chunk ended by LF", b"1\r\nx\r\n0\n\n"),
    _chunk("body ended by LF", b"1\r\nx\r\n0\r\n\n"),
    _chunk("extension with LF", b"1;a\nx\r\n0\r\n\r\n"),
    _chunk("extension with CR", b"1;a\rb\r\nx\r\n0\r\n\r\n"),
    _chunk("extension with NUL", b"1;a\0b\r\nx\r\n0\r\n\r\n"),
    _chunk("extension with a control byte", b"1;a=\x01\r\nx\r\n0\r\n\r\n"),
    _chunk("extension of open quotes", b'1;a="\r\nx\r\n0\r\n\r\n'),
    _chunk("extension of 20 KiB", b"1;" + b"a" * 20 * KIB),
    _chunk("2,000 extensions", b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 2000),
    _chunk("size of 20 KiB of zeros", b"0" * 20 * KIB),
    _chunk("trailers of 20 KiB", b"0\r\n" + b"X: aaaaaaaaaaaaaa\r\n" * KIB),
    _chunk("trailer without an end", b"0\r\nX: " + b"a" * 20 * KIB, endless=True),
    _chunk("length as a trailer", b"0\r\nContent-Length: 36\r\n\r\n"),
    _chunk("coding as a trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    _chunk("trailer without a colon", b"0\r\nX\r\n\r\n"),
    _chunk("trailer with a blank before the colon", b"0\r\nX : a\r\n\r\n"),
    _chunk("folded trailer", b"0\r\nX: a\r\n b\r\n\r\n"),
    _chunk("trailer with LF", b"0\r\nX: a\nY: b\r\n\r\n"),
)
