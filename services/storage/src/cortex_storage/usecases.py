"""What the service does, one verb a class. Each is safe to call again after any interruption."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from cortex_core.ipfs import (
    BlockCorrupt,
    BlockNotFound,
    BlockStore,
    BlockStoreUnavailable,
    Cid,
    FileReader,
    write_file,
)
from cortex_core.kernel import Clock
from cortex_storage.domain import FileDamaged, FileTooLarge, StorageUnavailable, StoredFile
from cortex_storage.ports import Files, Page


@dataclass(frozen=True, slots=True)
class StoreFile:
    """Takes a file in as it streams by: first its blocks, then the fact that it is here.

    An upload that ends early leaves complete blocks behind, and no file.
    """

    files: Files
    blocks: BlockStore
    clock: Clock
    max_bytes: int

    async def __call__(self, content: AsyncIterable[bytes], media_type: str | None) -> StoredFile:
        """Durable when it returns. Raises FileTooLarge, StorageUnavailable."""
        try:
            written = await write_file(self._limited(content), self.blocks)
        except BlockStoreUnavailable as error:
            raise StorageUnavailable from error
        return await self.files.add(StoredFile(written.cid, written.size, media_type, self.clock.now()))

    async def _limited(self, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        left = self.max_bytes
        async for data in content:
            left -= len(data)
            if left < 0:
                raise FileTooLarge(self.max_bytes)
            yield data


@dataclass(frozen=True, slots=True)
class FindFile:
    """What is known of a file, without its bytes."""

    files: Files

    async def __call__(self, cid: Cid) -> StoredFile:
        return await self.files.find(cid.to_v1())


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's bytes, each block checked before it is given out."""

    blocks: BlockStore

    async def __call__(self, file: StoredFile, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` (included) to `stop` (excluded). The first of them have been read when it returns, so
        that most of what can be wrong is known before an answer begins. Raises FileDamaged and StorageUnavailable, the
        iterator too: then what it gave was right, but is not all.
        """
        pieces = self._pieces(file, start, stop)
        first = await anext(pieces, b"")
        return _chain(first, pieces)

    async def _pieces(self, file: StoredFile, start: int, stop: int) -> AsyncIterator[bytes]:
        try:
            reader = await FileReader.open(file.cid, self.blocks.get, checks=False)
            if reader.size != file.size:
                raise FileDamaged(file.cid)
            async for piece in reader.read(start, stop):
                yield piece
        except (BlockNotFound, BlockCorrupt) as error:
            raise FileDamaged(file.cid) from error
        except BlockStoreUnavailable as error:
            raise StorageUnavailable from error


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


@dataclass(frozen=True, slots=True)
class ListFiles:
    """The files, the newest first, page by page."""

    files: Files

    async def __call__(self, *, limit: int, after: Cid | None) -> Page:
        return await self.files.page(limit=limit, after=after)


@dataclass(frozen=True, slots=True)
class UseCases:
    """What the edge can ask for."""

    store: StoreFile
    find: FindFile
    read: ReadFile
    listing: ListFiles
