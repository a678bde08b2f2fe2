"""Images as files with headers, limits and metadata. No pixel is decoded here, nothing is read or written."""

from cortex_compute.domain.errors import (
    Abandoned,
    AnimatedImage,
    EmptyImage,
    ImageTooLarge,
    Overloaded,
    TooLate,
    UnknownOperation,
    UnreadableImage,
    UnsupportedFormat,
)
from cortex_compute.domain.files import read_header, refuse, take_apart
from cortex_compute.domain.image import Contents, Header, ImageFormat, Operation, ProcessedImage
from cortex_compute.domain.metadata import exif_with, is_rgb_profile

__all__ = [
    "Abandoned",
    "AnimatedImage",
    "Contents",
    "EmptyImage",
    "Header",
    "ImageFormat",
    "ImageTooLarge",
    "Operation",
    "Overloaded",
    "ProcessedImage",
    "TooLate",
    "UnknownOperation",
    "UnreadableImage",
    "UnsupportedFormat",
    "exif_with",
    "is_rgb_profile",
    "read_header",
    "refuse",
    "take_apart",
]
