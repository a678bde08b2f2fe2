"""What an image costs in memory, and how much of it there is: figures alone, nothing is allocated here.

The figures are peaks, measured over every format, mode and shape with pixels of noise (tests/test_memory_peak.py holds
them): a decoder, its image, the grey one and an encoder are in memory at once.
"""

from dataclasses import dataclass
from typing import Final, Self

from cortex_compute.domain.errors import ImageNeedsTooMuch
from cortex_compute.domain.image import Header, ImageFormat

MIB: Final = 1 << 20
KEPT: Final = 320 * MIB
"""Of a process's limit: what it takes beside images. The interpreter and what it has loaded (100 MiB), its
threads' kernels, events that wait, connections' buffers. Measured with six workers: 200 MiB, and 266 on a busy machine
while hundreds of files were refused."""

_A_PIXEL: Final = {ImageFormat.PNG: 16, ImageFormat.JPEG: 16, ImageFormat.WEBP: 56}  # measured: 12.5, 12, 48
_A_LINE: Final = 32  # a row's bookkeeping, a column's seven candidates of PNG's filters: what thin images are made of
_A_JOB: Final = 16 * MIB  # tiles, kernels, tables
_FILES: Final = 5  # a fifth of the budget is for files, unless one file needs more


def work_of(header: Header, length: int) -> int:
    """Bytes that processing takes at most beside the file itself, which has `length`: what the decoder is given is a
    copy of it, without what it must not see."""
    lines = header.width + header.height
    return _A_JOB + header.width * header.height * _A_PIXEL[header.format] + lines * _A_LINE + length


@dataclass(frozen=True, slots=True)
class Bounds:
    """In bytes. `budget` is for files, work and answers together. Files may have `files` of it and no more: so the
    `work` of one image always finds room once others have ended, and no two requests wait for each other."""

    budget: int
    files: int

    @classmethod
    def within(cls, budget: int, *, body_limit: int, places: int) -> Self:
        """Raises ValueError where not even one small image with the longest body fits."""
        files = max(body_limit, min(places * body_limit, budget // _FILES))
        if budget - files < body_limit + 2 * _A_JOB:
            raise ValueError(
                f"a memory budget of {budget // MIB} MiB is too little for bodies of {body_limit / MIB:.3g} MiB:"
                " raise COMPUTE_MEMORY_BUDGET or the container's limit, or lower COMPUTE_BODY_LIMIT"
            )
        return cls(budget, files)

    @property
    def work(self) -> int:
        """The most that the work on one image may take."""
        return self.budget - self.files

    def refuse_above(self, header: Header, length: int) -> int:
        """What `work_of` says. Raises ImageNeedsTooMuch where it never fits, however long one waits."""
        needed = work_of(header, length)
        if needed > self.work:
            raise ImageNeedsTooMuch(header.format.value, header.width, header.height, needed, self.work)
        return needed

    def largest(self, format: ImageFormat, length: int) -> int:  # noqa: A002 - the word for it
        """Pixels that a square image of `format` may have in a file of `length` bytes."""
        side = 0
        for bit in reversed(range(17)):
            longer = side + (1 << bit)
            if work_of(Header(format, longer, longer), length) <= self.work:
                side = longer
        return side * side
