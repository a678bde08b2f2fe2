"""From bytes to what they claim to be. Only the first bytes count: names and content types are said by the sender."""

from typing import Final

from cortex_compute.domain import jpeg, png, webp
from cortex_compute.domain.errors import EmptyImage, UnreadableImage, UnsupportedFormat
from cortex_compute.domain.image import Contents, Header, ImageFormat

SUPPORTED: Final = [each.value for each in ImageFormat]

_OTHERS: Final = (  # format, where its mark is, the mark
    ("gif", 0, b"GIF8"),
    ("bmp", 0, b"BM"),
    ("tiff", 0, b"II*\0"),
    ("tiff", 0, b"MM\0*"),
    ("ico", 0, b"\0\0\1\0"),
    ("psd", 0, b"8BPS"),
    ("jpeg-2000", 0, b"\0\0\0\x0cjP  "),
    ("jpeg-xl", 0, b"\0\0\0\x0cJXL "),
    ("jpeg-xl", 0, b"\xff\x0a"),
    ("avif", 4, b"ftypavif"),
    ("heif", 4, b"ftyphei"),
    ("heif", 4, b"ftypmif1"),
    ("svg", 0, b"<svg"),
    ("svg", 0, b"<?xml"),
    ("pdf", 0, b"%PDF"),
)


def read_header(body: bytes) -> Header:
    """Quick, whatever the body. Raises EmptyImage, UnsupportedFormat, UnreadableImage."""
    if not body:
        raise EmptyImage("the body is empty; send an image as it is")
    if body.startswith(png.SIGNATURE):
        return png.header(body)
    if body.startswith(jpeg.SIGNATURE):
        return jpeg.header(body)
    if webp.is_webp(body):
        return webp.header(body)
    for name, start, mark in _OTHERS:
        if body.startswith(mark, start):
            raise refuse(name)
    raise UnreadableImage("the body is no image: it begins like none")


def take_apart(format: ImageFormat, body: bytes) -> Contents:  # noqa: A002 - the word for it
    """Reads all of the container. Raises UnreadableImage."""
    return {ImageFormat.PNG: png.contents, ImageFormat.JPEG: jpeg.contents, ImageFormat.WEBP: webp.contents}[format](
        body
    )


def refuse(name: str) -> UnsupportedFormat:
    """The error that says what is taken instead of `name`."""
    return UnsupportedFormat(f"{name} is not taken; send {', '.join(SUPPORTED)}", format=name, supported=SUPPORTED)
