"""What stands in the way of processing an image."""

from cortex_core.kernel import CortexError, Kind


class EmptyImage(CortexError):
    """There is no body."""

    code, kind = "image.empty", Kind.INVALID


class UnknownOperation(CortexError):
    """No such operation. `known` lists those there are."""

    code, kind = "image.unknown-operation", Kind.UNPROCESSABLE


class UnsupportedFormat(CortexError):
    """An image perhaps, but of a format that is not taken. `supported` lists those that are."""

    code, kind = "image.unsupported-format", Kind.UNSUPPORTED_MEDIA


class UnreadableImage(CortexError):
    """Not an image, or a broken one."""

    code, kind = "image.unreadable", Kind.UNPROCESSABLE


class AnimatedImage(CortexError):
    """More than one frame. Refused: a picture that comes back without its movement is not what was asked for."""

    code, kind = "image.animated", Kind.UNPROCESSABLE

    def __init__(self) -> None:
        super().__init__("animated images are not processed; send one frame")


class ImageTooLarge(CortexError):
    """More pixels than are taken, by what the header says: nothing was decoded."""

    code, kind = "image.too-large", Kind.TOO_LARGE

    def __init__(self, width: int, height: int, max_pixels: int) -> None:
        super().__init__(
            f"{width} by {height} pixels are more than the {max_pixels} taken",
            width=width,
            height=height,
            max_pixels=max_pixels,
        )


class ImageNeedsTooMuch(CortexError):
    """An image whose processing would take more memory than there is for one, by what the header says."""

    code, kind = "image.too-much-memory", Kind.TOO_LARGE

    def __init__(self, format: str, width: int, height: int, needed: int, available: int) -> None:  # noqa: A002
        super().__init__(
            f"a {format} of {width} by {height} pixels needs {needed} bytes of memory; there are {available}",
            format=format,
            width=width,
            height=height,
            needed=needed,
            available=available,
        )


class MemoryInUse(CortexError):
    """The memory for files is taken by other requests' files and answers."""

    code, kind = "compute.memory-in-use", Kind.UNAVAILABLE

    def __init__(self, size: int) -> None:
        super().__init__(f"there is no memory for a file of {size} bytes now", size=size, retry_after=1)


class Overloaded(CortexError):
    """All workers are busy and the queue is full."""

    code, kind = "compute.overloaded", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("all workers are busy and the queue is full", retry_after=1)


class TooLate(CortexError):
    """The request's deadline passed while it waited for a worker: nobody would read the answer."""

    code, kind = "compute.deadline-exceeded", Kind.TIMEOUT

    def __init__(self) -> None:
        super().__init__("the request's deadline passed before a worker was free")


class Abandoned(CortexError):
    """The caller left: the rest of the work was dropped."""

    code, kind = "compute.abandoned", Kind.TIMEOUT

    def __init__(self) -> None:
        super().__init__("the caller left")
