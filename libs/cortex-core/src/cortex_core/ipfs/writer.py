"""A stream into a block store, in bounded memory: at most two batches of blocks are held, whatever the file's size."""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Final

from cortex_core.ipfs.block import Block
from cortex_core.ipfs.blockstore import BlockStore
from cortex_core.ipfs.cid import Cid
from cortex_core.ipfs.unixfs import DEFAULT_LAYOUT, FileBuilder, Layout

_BATCH: Final = 8  # blocks, 2 MiB: enough for the disk to merge their fsyncs, small beside the process


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What was written, `size` in bytes."""

    cid: Cid
    size: int


async def write_file(source: AsyncIterable[bytes], store: BlockStore, layout: Layout = DEFAULT_LAYOUT) -> WrittenFile:
    """Durable when it returns. Raises what `source` and `store` raise; the blocks stored until then stay: they are
    complete, named by their content, and whoever stores the file again finds them there.
    """
    builder = FileBuilder(layout)
    async with _Batches(store) as batches:
        async for data in source:
            await batches.add(builder.add(data))
        root = builder.finish()
        await batches.add(root.blocks)
    return WrittenFile(root.cid, root.size)


class _Batches:
    """Collects blocks and puts one batch while the next is being collected."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._collected: list[Block] = []
        self._putting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Batches":
        return self

    async def add(self, blocks: list[Block]) -> None:
        self._collected += blocks
        while len(self._collected) >= _BATCH:
            await self._put(self._collected[:_BATCH])
            del self._collected[:_BATCH]

    async def _put(self, batch: list[Block]) -> None:
        await self._settle()
        self._putting = asyncio.create_task(self._store.put_many(batch))

    async def _settle(self) -> None:
        if self._putting is not None:
            await asyncio.shield(self._putting)  # a cancelled upload still knows its batch, and waits for it below
            self._putting = None

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._put(self._collected)
            await self._settle()
        elif self._putting is not None:
            # The source's error is the one to tell. The batch under way is waited for, so that nothing of this upload
            # is still being written once it has been refused.
            await asyncio.gather(self._putting, return_exceptions=True)
