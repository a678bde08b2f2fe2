"""What the compute service says."""

from typing import ClassVar

from cortex_contracts.event import EventData


class ImageProcessed(EventData):
    """An image was processed. Sizes in pixels, `duration` in seconds."""

    type: ClassVar[str] = "image.processed"
    operation: str
    format: str
    width: int
    height: int
    duration: float
