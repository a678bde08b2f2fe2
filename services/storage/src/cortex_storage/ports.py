"""The roles the use cases need. Blocks live in a `cortex_core.ipfs.BlockStore`; contract of `Files`: FilesContract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cortex_core.ipfs import Cid
from cortex_storage.domain import StoredFile


@dataclass(frozen=True, slots=True)
class Page:
    """`after` is where the next page begins, None on the last one."""

    files: Sequence[StoredFile]
    after: Cid | None


class Files(Protocol):
    """Which files there are. What belongs to the current context's tenant is all there is."""

    async def add(self, file: StoredFile) -> StoredFile:
        """The file as it is known from now on, durable when it returns. One that was known before stays as it was: the
        same bytes are one fact, told once."""
        ...

    async def find(self, cid: Cid) -> StoredFile:
        """Raises FileNotFound."""
        ...

    async def page(self, *, limit: int, after: Cid | None) -> Page:
        """The newest first, at most `limit`, beginning behind `after`. Raises InvalidCursor."""
        ...
