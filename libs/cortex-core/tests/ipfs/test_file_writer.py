import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from cortex_core.ipfs import (
    Block,
    BlockStoreUnavailable,
    FileBuilder,
    FileReader,
    Layout,
    MemoryBlockStore,
    WrittenFile,
    write_file,
)

NARROW = Layout(chunk_size=16, max_links=3)
Pieces = Callable[..., AsyncIterator[bytes]]


class SlowStore(MemoryBlockStore):
    """Takes each batch when it is told to; refuses all after `room` blocks."""

    def __init__(self, room: int = 1_000_000) -> None:
        super().__init__()
        self.room = room
        self.putting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.under_way = 0

    async def put_many(self, blocks: Sequence[Block]) -> None:
        self.putting.set()
        self.under_way += 1
        try:
            await self.go_on.wait()
            if len(self) + len(blocks) > self.room:
                raise BlockStoreUnavailable("full")
            await super().put_many(blocks)
        finally:
            self.under_way -= 1


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 127, 128, 129, 1000])
async def test_a_written_file_is_whole_in_the_store(size: int, pieces: Pieces) -> None:
    data = bytes(number % 251 for number in range(size))
    builder = FileBuilder(NARROW)
    builder.add(data)
    store = MemoryBlockStore()

    written = await write_file(pieces(data, 7), store, NARROW)

    assert written == WrittenFile(builder.finish().cid, size)
    file = await FileReader.open(written.cid, store.get)
    assert b"".join([piece async for piece in file.read()]) == data


async def test_it_is_not_done_before_the_last_batch_is(pieces: Pieces) -> None:
    store = SlowStore()
    writing = asyncio.create_task(write_file(pieces(b"short", 5), store, NARROW))

    await store.putting.wait()
    assert not writing.done()
    store.go_on.set()

    assert (await writing).size == 5


@pytest.mark.parametrize("room", [0, 8, 60])
async def test_a_store_that_fails_fails_the_write(room: int, pieces: Pieces) -> None:
    store = SlowStore(room)
    store.go_on.set()

    with pytest.raises(BlockStoreUnavailable):
        await write_file(pieces(bytes(number % 251 for number in range(1000)), 7), store, NARROW)


async def test_a_source_that_fails_is_what_the_caller_hears_and_nothing_is_left_under_way() -> None:
    store = SlowStore()

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(range(130))  # one batch, and two blocks of the next
        await store.putting.wait()
        asyncio.get_running_loop().call_later(0.01, store.go_on.set)
        raise ConnectionResetError("the client left")

    with pytest.raises(ConnectionResetError):
        await write_file(broken(), store, NARROW)

    assert store.under_way == 0


async def test_a_cancelled_write_waits_for_its_batch(pieces: Pieces) -> None:
    store = SlowStore()
    writing = asyncio.create_task(write_file(pieces(bytes(1000), 100), store, NARROW))
    await store.putting.wait()

    asyncio.get_running_loop().call_later(0.01, store.go_on.set)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert store.under_way == 0
    assert len(store) > 0, "the batch was finished, not dropped"


async def test_a_long_file_needs_little_memory(pieces: Pieces) -> None:
    class Nowhere(MemoryBlockStore):
        async def put_many(self, blocks: Sequence[Block]) -> None:
            await asyncio.sleep(0)

    async def zeros() -> AsyncIterator[bytes]:
        piece = bytes(65_536)
        for _ in range(1024):
            yield piece

    tracemalloc.start()
    try:
        written = await write_file(zeros(), Nowhere())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert written.size == 64 * 1024 * 1024
    assert peak < 8 * 1024 * 1024
