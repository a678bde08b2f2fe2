"""The roles the use case needs."""

from typing import Protocol

from cortex_compute.domain import Header, Operation, ProcessedImage


class Workshop(Protocol):
    """Where images are processed, a bounded number at once. Tests: tests/test_workshop.py."""

    def refuse_when_full(self) -> None:
        """Raises Overloaded where `process` would."""
        ...

    async def process(self, body: bytes, header: Header, operation: Operation) -> ProcessedImage:
        """Never blocks the loop. Cancelled, it drops what has not begun and breaks off what has as soon as it can.
        Raises Overloaded at once, TooLate, UnreadableImage."""
        ...


class Announcements(Protocol):
    """Told what was done, for whoever listens."""

    def image_processed(self, image: ProcessedImage) -> None:
        """Never waits and never fails. Best effort: it may be lost."""
        ...
