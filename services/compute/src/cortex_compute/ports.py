"""The roles the use case needs."""

from typing import Protocol

from cortex_compute.domain import Header, Operation, ProcessedImage


class Room(Protocol):
    """Memory that one request has taken. Whoever asked for it calls `release`, whatever happens."""

    def take_file(self, size: int) -> None:
        """Bytes of a file, before it is read. Raises MemoryInUse at once."""
        ...

    def settle_file(self, size: int) -> None:
        """It was no longer than this."""
        ...

    async def take_work(self, size: int) -> None:
        """Bytes that processing takes: waits until they are free, in turn."""
        ...

    def begin(self) -> None:
        """It is in use, and stays taken until `end`, whoever calls `release` in between."""
        ...

    def end(self, answer: int) -> None:
        """It is in use no more; an answer of so many bytes is left of it."""
        ...

    def release(self) -> None:
        """All of it, as soon as it is not in use."""
        ...


class Workshop(Protocol):
    """Where images are processed, a bounded number at once. Tests: tests/test_workshop.py."""

    def refuse_when_full(self) -> None:
        """Raises Overloaded where `process` would."""
        ...

    async def process(
        self, body: bytes, header: Header, operation: Operation, *, room: Room, work: int
    ) -> ProcessedImage:
        """Never blocks the loop. Cancelled, it drops what has not begun and breaks off what has as soon as it can.
        Begins when `room` has had `work` bytes for it. Raises Overloaded at once, TooLate, UnreadableImage."""
        ...


class Announcements(Protocol):
    """Told what was done, for whoever listens."""

    def image_processed(self, image: ProcessedImage) -> None:
        """Never waits and never fails. Best effort: it may be lost."""
        ...
