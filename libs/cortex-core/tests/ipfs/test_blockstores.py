import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cortex_core.ipfs import RAW, Block, BlockNotFound, BlockStoreUnavailable, Cid, FileBlockStore, MemoryBlockStore
from cortex_core.testing.contracts.blockstore import BlockStoreContract, Spoil

BLOCK = Block.of(RAW, b"a block")


def _file(root: Path, cid: Cid) -> Path:
    return root / cid.digest.hex()[:2] / cid.digest.hex()


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class TestMemoryBlockStore(BlockStoreContract):
    @pytest.fixture
    def store(self) -> MemoryBlockStore:
        return MemoryBlockStore()

    @pytest.fixture
    def spoil(self, store: MemoryBlockStore) -> Spoil:
        return lambda cid, data: store._blocks.update({cid.digest: data})


class TestFileBlockStore(BlockStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> FileBlockStore:
        return await FileBlockStore.open(tmp_path / "not" / "yet" / "there")

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Spoil:
        def write(cid: Cid, data: bytes) -> None:
            path = _file(tmp_path / "not" / "yet" / "there", cid)
            assert path.exists()
            path.write_bytes(data)

        return write

    async def test_blocks_outlive_the_store(self, tmp_path: Path) -> None:
        await (await FileBlockStore.open(tmp_path)).put_many([BLOCK])

        assert await (await FileBlockStore.open(tmp_path)).get(BLOCK.cid) == b"a block"

    async def test_equal_bytes_are_kept_once(self, tmp_path: Path) -> None:
        store = await FileBlockStore.open(tmp_path)
        await store.put_many([BLOCK])
        before = _file(tmp_path, BLOCK.cid).stat()

        await store.put_many([BLOCK, BLOCK])

        assert _file(tmp_path, BLOCK.cid).stat().st_ino == before.st_ino
        assert len(_files(tmp_path)) == 1

    async def test_a_block_is_synced_before_it_has_its_name_and_its_folder_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await FileBlockStore.open(tmp_path)
        steps: list[str] = []
        fsync, replace = os.fsync, Path.replace

        def watched_fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            steps.append("fsync of the folder" if path.is_dir() else "fsync of the file")
            fsync(descriptor)

        def watched_replace(path: Path, target: Path) -> Path:
            steps.append("rename")
            return replace(path, target)

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(Path, "replace", watched_replace)
        await store.put_many([BLOCK])
        await store.put_many([BLOCK])

        first, again = steps[:3], steps[3:]
        assert first == ["fsync of the file", "rename", "fsync of the folder"]
        assert again == ["fsync of the folder"], "its first writer may have died before this"

    async def test_what_a_crash_left_is_swept_once_nobody_can_be_writing_it(self, tmp_path: Path) -> None:
        await FileBlockStore.open(tmp_path)
        young, old = tmp_path / "tmp" / "young", tmp_path / "tmp" / "old"
        for path in (young, old):
            path.write_bytes(b"half a blo")
        os.utime(old, times=(time.time() - 7200, time.time() - 7200))

        await FileBlockStore.open(tmp_path)

        assert (young.exists(), old.exists()) == (True, False)

    async def test_a_store_whose_disk_is_gone_is_unavailable_and_does_not_say_not_found(self, tmp_path: Path) -> None:
        store = await FileBlockStore.open(tmp_path / "mounted")
        (tmp_path / "mounted").rename(tmp_path / "unmounted")

        with pytest.raises(BlockStoreUnavailable) as caught:
            await store.get(BLOCK.cid)
        with pytest.raises(BlockStoreUnavailable):
            await store.put_many([BLOCK])
        with pytest.raises(BlockStoreUnavailable):
            await store.check()
        assert caught.value.retryable

    async def test_a_folder_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")

        with pytest.raises(BlockStoreUnavailable):
            await FileBlockStore.open(tmp_path / "file" / "blocks")

    def test_a_write_the_system_refuses_leaves_nothing(self, tmp_path: Path) -> None:
        """A process of its own, which the kernel lets write 1,000 bytes a file: as a full disk does, in the middle."""
        script = textwrap.dedent(
            """
            import asyncio, resource, signal, sys
            from pathlib import Path
            from cortex_core.ipfs import RAW, Block, BlockStoreUnavailable, FileBlockStore

            async def main() -> None:
                store = await FileBlockStore.open(Path(sys.argv[1]))
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
                try:
                    await store.put_many([Block.of(RAW, b"small"), Block.of(RAW, bytes(100_000))])
                except BlockStoreUnavailable as error:
                    print(error)

            asyncio.run(main())
            """
        )
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

        assert "File too large" in done.stdout
        assert _files(tmp_path) == []

    async def test_a_missing_block_is_not_found_rather_than_unavailable(self, tmp_path: Path) -> None:
        with pytest.raises(BlockNotFound):
            await (await FileBlockStore.open(tmp_path)).get(BLOCK.cid)
