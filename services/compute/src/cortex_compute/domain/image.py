"""What an image is to this service, and what can be done to it."""

from dataclasses import dataclass
from enum import StrEnum

from cortex_compute.domain.errors import AnimatedImage, ImageTooLarge, UnknownOperation


class Operation(StrEnum):
    """What can be done to an image: one exported kernel of the WebAssembly module each."""

    GRAYSCALE = "grayscale"

    @classmethod
    def named(cls, name: str) -> "Operation":
        """Raises UnknownOperation."""
        try:
            return cls(name)
        except ValueError as error:
            known = [each.value for each in cls]
            raise UnknownOperation(f"no operation {name[:40]!r}; there is {', '.join(known)}", known=known) from error


class ImageFormat(StrEnum):
    """What is taken, and given back in kind."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes say, before anything is decoded."""

    format: ImageFormat
    width: int
    height: int
    animated: bool = False

    def refuse_above(self, max_pixels: int) -> None:
        """Raises ImageTooLarge, AnimatedImage."""
        if self.width * self.height > max_pixels:
            raise ImageTooLarge(self.width, self.height, max_pixels)
        if self.animated:
            raise AnimatedImage


@dataclass(frozen=True, slots=True)
class Contents:
    """An image file taken apart: what the decoder gets to see, and what is carried around it.

    `pixels` is a file of the same format with no metadata a decoder could trip over. `orientation` is EXIF's (1 to 8).
    `profile` is an ICC profile, not looked into beyond its colour space. `depth`: bits a channel (PNG). `lossless`:
    only said of WebP, where it is a choice.
    """

    pixels: bytes
    orientation: int = 1
    profile: bytes | None = None
    depth: int = 8
    lossless: bool = False


@dataclass(frozen=True, slots=True)
class ProcessedImage:
    """The answer. `seconds` is the work alone, without waiting."""

    operation: Operation
    format: ImageFormat
    width: int
    height: int
    seconds: float
    body: bytes
