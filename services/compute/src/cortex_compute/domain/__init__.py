"""Images as files with headers, limits and metadata. No pixel is decoded here, nothing is read or written."""

from cortex_compute.domain.errors import (
    Abandoned,
    AnimatedImage,
    EmptyImage,
    ImageNeedsTooMuch,
    ImageTooLarge,
    MemoryInUse,
    Overloaded,
    TooLate,
    UnknownOperation,
    UnreadableImage,
    UnsupportedFormat,
)
from cortex_compute.domain.files import read_header, refuse, take_apart
from cortex_compute.domain.image import Contents, Header, ImageFormat, Operation, ProcessedImage
from cortex_compute.domain.memory import KEPT, MIB, Bounds, work_of
from cortex_compute.domain.metadata import exif_with, is_rgb_profile

__all__ = [
    "KEPT",
    "MIB",
    "Abandoned",
    "AnimatedImage",
    "Bounds",
    "Contents",
    "EmptyImage",
    "Header",
    "ImageFormat",
    "ImageNeedsTooMuch",
    "ImageTooLarge",
    "MemoryInUse",
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
    "work_of",
]
