"""One image from file to file: taken apart, decoded, through the kernels tile by tile, encoded. Runs in a thread."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cortex_compute.adapters.codec import GreyPicture, decode
from cortex_compute.adapters.kernels import TILE_PIXELS, Kernels
from cortex_compute.domain import Abandoned, Header, Operation, ProcessedImage, TooLate, take_apart
from cortex_core.kernel import CortexError
from cortex_core.wasm import WasmModule


@dataclass(frozen=True, slots=True)
class Job:
    """`deadline` is a reading of the monotonic clock. `abandoned` is set when nobody waits any more."""

    body: bytes
    header: Header
    operation: Operation
    deadline: float | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)

    def refuse_abandoned(self) -> None:
        if self.abandoned.is_set():
            raise Abandoned


class ImageProcessor:
    """Callable from any thread: each has kernels of its own, made with its first image, and made anew after an error
    of the sandbox, which leaves an instance in an unknown state."""

    def __init__(self, module: WasmModule, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._module = module
        self._monotonic = monotonic
        self._thread = threading.local()

    def __call__(self, job: Job) -> ProcessedImage:
        """Raises UnreadableImage, Abandoned, TooLate."""
        began = self._monotonic()
        if job.deadline is not None and began >= job.deadline:
            raise TooLate
        body = self._processed(job)
        header = job.header
        return ProcessedImage(
            job.operation, header.format, header.width, header.height, self._monotonic() - began, body
        )

    def _processed(self, job: Job) -> bytes:
        job.refuse_abandoned()
        contents = take_apart(job.header.format, job.body)
        picture = decode(contents, job.header)
        made = GreyPicture(picture.width, picture.height, alpha=picture.has_alpha)
        for box, rgba in picture.tiles(TILE_PIXELS):
            job.refuse_abandoned()
            with self._applied(job.operation, rgba) as pixels:
                made.paste(box, pixels)
        del picture  # its memory is free for the encoder's
        job.refuse_abandoned()
        return made.encode(job.header.format, contents)

    @contextmanager
    def _applied(self, operation: Operation, rgba: bytes) -> Iterator[memoryview]:
        kernels: Kernels | None = getattr(self._thread, "kernels", None)
        if kernels is None:
            kernels = self._thread.kernels = Kernels(self._module)
        try:
            with kernels.applied(operation, rgba) as pixels:
                yield pixels
        except CortexError:
            self._thread.kernels = None
            raise
