"""What the service does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cortex_compute.domain import Bounds, Operation, ProcessedImage, read_header
from cortex_compute.ports import Announcements, Room, Workshop


@dataclass(frozen=True, slots=True)
class ProcessImage:
    """Makes another image of one. Nothing is kept: the same request twice gives the same answer twice."""

    workshop: Workshop
    announcements: Announcements
    max_pixels: int
    body_limit: int
    bounds: Bounds

    async def __call__(
        self, operation: str, read_body: Callable[[], Awaitable[bytes]], *, length: int | None, room: Room
    ) -> ProcessedImage:
        """The body is asked for once it is known to be wanted and has room: for `length` bytes, and where that is None
        for the most that it may have. `room` is the caller's to release. Raises the domain's errors."""
        chosen = Operation.named(operation)
        self.workshop.refuse_when_full()
        room.take_file(self.body_limit if length is None else min(length, self.body_limit))
        body = await read_body()
        room.settle_file(len(body))
        header = read_header(body)
        header.refuse_above(self.max_pixels)
        work = self.bounds.refuse_above(header, len(body))
        image = await self.workshop.process(body, header, chosen, room=room, work=work)
        self.announcements.image_processed(image)
        return image


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    process: ProcessImage
    room: Callable[[], Room]
    """Memory for one request, nothing taken yet."""
