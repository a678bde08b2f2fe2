from collections.abc import AsyncIterator, Sequence

import pytest

from cortex_core.ipfs import RAW, Block, BlockStoreUnavailable, Cid, MemoryBlockStore
from cortex_core.testing import FakeClock
from cortex_storage.domain import FileDamaged, FileNotFound, FileTooLarge, StorageUnavailable, StoredFile
from cortex_storage.ports import Files
from cortex_storage.usecases import FindFile, ReadFile, StoreFile

CHUNK = 262_144


class Blocks(MemoryBlockStore):
    """Can be full, can lose a block, and can go away."""

    def __init__(self) -> None:
        super().__init__()
        self.full = self.gone = False
        self.lost: set[Cid] = set()

    async def get(self, cid: Cid) -> bytes:
        if self.gone:
            raise BlockStoreUnavailable("gone")
        if cid in self.lost:
            return b"something else"
        return await super().get(cid)

    async def put_many(self, blocks: Sequence[Block]) -> None:
        if self.full:
            raise BlockStoreUnavailable("full")
        await super().put_many(blocks)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


@pytest.fixture
def store(memory_files: Files, blocks: Blocks) -> StoreFile:
    return StoreFile(memory_files, blocks, FakeClock(), max_bytes=3 * CHUNK)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


async def test_a_stored_file_is_read_back(store: StoreFile, blocks: Blocks) -> None:
    data = bytes(range(256)) * 2048

    file = await store(pieces(data[:1000], data[1000:]), "image/png")

    assert file.created_at == FakeClock().now()
    assert (file.size, file.media_type) == (len(data), "image/png")
    assert b"".join([piece async for piece in await ReadFile(blocks)(file, 0, file.size)]) == data
    assert b"".join([piece async for piece in await ReadFile(blocks)(file, 300_000, 300_005)]) == data[300_000:300_005]


async def test_a_file_as_large_as_allowed_is_taken_and_one_byte_more_is_not(
    store: StoreFile, memory_files: Files
) -> None:
    assert (await store(pieces(bytes(3 * CHUNK)), None)).size == 3 * CHUNK

    with pytest.raises(FileTooLarge) as caught:
        await store(pieces(bytes(3 * CHUNK), b"!"), None)

    assert caught.value.details == {"limit": 3 * CHUNK}
    assert len((await memory_files.page(limit=10, after=None)).files) == 1


async def test_a_file_is_known_only_when_all_of_it_is_stored(
    store: StoreFile, blocks: Blocks, memory_files: Files
) -> None:
    blocks.full = True

    with pytest.raises(StorageUnavailable) as caught:
        await store(pieces(bytes(CHUNK)), None)

    assert caught.value.retryable
    assert (await memory_files.page(limit=10, after=None)).files == []


async def test_a_file_is_found_under_every_spelling_of_its_cid(store: StoreFile, memory_files: Files) -> None:
    file = await store(pieces(b"a" * CHUNK + b"b" * CHUNK), None)

    assert await FindFile(memory_files)(Cid(0, file.cid.codec, file.cid.digest)) == file
    with pytest.raises(FileNotFound):
        await FindFile(memory_files)(Cid(1, RAW, file.cid.digest))  # the root's own bytes are another file


async def test_damage_at_the_beginning_is_known_before_anything_is_given(store: StoreFile, blocks: Blocks) -> None:
    data = b"a" * CHUNK + b"b" * CHUNK
    file = await store(pieces(data), None)
    blocks.lost = {Cid.of(RAW, b"a" * CHUNK)}

    with pytest.raises(FileDamaged):
        await ReadFile(blocks)(file, 0, file.size)


async def test_damage_further_on_ends_the_reading(store: StoreFile, blocks: Blocks) -> None:
    file = await store(pieces(b"a" * CHUNK + b"b" * CHUNK), None)
    blocks.lost = {Cid.of(RAW, b"b" * CHUNK)}

    given = b""
    with pytest.raises(FileDamaged):
        async for piece in await ReadFile(blocks)(file, 0, file.size):
            given += piece

    assert given == b"a" * CHUNK


async def test_a_size_that_is_not_the_trees_is_damage(store: StoreFile, blocks: Blocks) -> None:
    file = await store(pieces(b"data"), None)

    with pytest.raises(FileDamaged):
        await ReadFile(blocks)(StoredFile(file.cid, 5, None, file.created_at), 0, 5)


async def test_a_disk_that_is_gone_is_no_damage(store: StoreFile, blocks: Blocks) -> None:
    file = await store(pieces(b"data"), None)
    blocks.gone = True

    with pytest.raises(StorageUnavailable):
        await ReadFile(blocks)(file, 0, 4)
