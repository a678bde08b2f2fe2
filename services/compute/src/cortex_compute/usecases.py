"""What the service does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cortex_compute.domain import Operation, ProcessedImage, read_header
from cortex_compute.ports import Announcements, Workshop


@dataclass(frozen=True, slots=True)
class ProcessImage:
    """Makes another image of one. Nothing is kept: the same request twice gives the same answer twice."""

    workshop: Workshop
    announcements: Announcements
    max_pixels: int

    async def __call__(self, operation: str, read_body: Callable[[], Awaitable[bytes]]) -> ProcessedImage:
        """The body is asked for once it is known to be wanted. Raises the domain's errors."""
        chosen = Operation.named(operation)
        self.workshop.refuse_when_full()
        body = await read_body()
        header = read_header(body)
        header.refuse_above(self.max_pixels)
        image = await self.workshop.process(body, header, chosen)
        self.announcements.image_processed(image)
        return image


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    process: ProcessImage
