"""What the storage service says."""

from typing import ClassVar

from cortex_contracts.event import EventData


class FileStored(EventData):
    """A file is durable under its CID. `size` in bytes."""

    type: ClassVar[str] = "file.stored"
    cid: str
    size: int
    media_type: str | None = None
