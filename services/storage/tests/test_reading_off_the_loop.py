"""Many readers at once: what costs time of a download is done in threads, and the event loop goes on."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest

from cortex_core.ipfs import Block, Cid, FileBlockStore, write_file
from cortex_core.ipfs.cid import RAW
from cortex_core.kernel.clock import SystemClock
from cortex_storage.domain import FileDamaged, StoredFile
from cortex_storage.usecases import ReadFile

CONTENT = bytes(range(256)) * (4 * 1024 * 4)  # 4 MiB: sixteen blocks


async def stored(folder: Path) -> tuple[FileBlockStore, StoredFile]:
    async def content() -> object:
        yield CONTENT

    blocks = await FileBlockStore.open(folder)
    written = await write_file(content(), blocks)
    return blocks, StoredFile(written.cid, written.size, None, SystemClock().now())


async def test_every_byte_is_hashed_once_and_never_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, file = await stored(tmp_path)
    hashed: Counter[int] = Counter()
    names = Cid.names

    def counted(self: Cid, block: bytes) -> bool:
        hashed[threading.get_ident()] += len(block)
        return names(self, block)

    monkeypatch.setattr(Cid, "names", counted)

    async def download() -> bytes:
        return b"".join([part async for part in await ReadFile(blocks)(file, 0, file.size)])

    assert set(await asyncio.gather(*(download() for _ in range(8)))) == {CONTENT}

    assert hashed[threading.get_ident()] == 0
    once = 8 * len(CONTENT)
    assert once <= sum(hashed.values()) <= once + 8 * 16_384  # and the node that names the blocks


async def test_what_is_wrong_on_the_disk_is_not_given_out(tmp_path: Path) -> None:
    blocks, file = await stored(tmp_path)
    piece = Cid.of(RAW, CONTENT[: 256 << 10]).digest.hex()
    path = tmp_path / piece[:2] / piece
    path.write_bytes(b"?" + path.read_bytes()[1:])

    with pytest.raises(FileDamaged):
        await ReadFile(blocks)(file, 0, file.size)


async def test_a_block_that_is_put_in_is_checked(tmp_path: Path) -> None:
    blocks, _ = await stored(tmp_path)

    with pytest.raises(Exception, match="corrupt"):
        await blocks.put_many([Block(Cid.of(RAW, b"a"), b"b")])
