"""Where blocks live. Contract: `cortex_core.testing.contracts.blockstore.BlockStoreContract`, which every store passes.

Owns the role and the two stores of this machine: memory, and a folder of flat files. A block is known by its hash
alone, so that equal bytes are kept once, under whichever CID they came. Next: Kubo as a third, behind `IPFSClient`.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, ParamSpec, Protocol, Self, TypeVar

from cortex_core.ipfs.block import MAX_BLOCK, Block, BlockNotFound
from cortex_core.ipfs.cid import Cid
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id

_P = ParamSpec("_P")
_T = TypeVar("_T")

_ABANDONED_AFTER: Final = 3600.0  # seconds: an unfinished file this old has no writer any more


class BlockStoreUnavailable(CortexError):
    """The store cannot do it now: its disk is full, gone or failing. Nothing was acknowledged."""

    code, kind = "block-store.unavailable", Kind.UNAVAILABLE


class BlockStore(Protocol):
    """See the module."""

    async def get(self, cid: Cid) -> bytes:
        """The block's bytes, checked. Raises BlockNotFound, BlockCorrupt, BlockStoreUnavailable."""
        ...

    async def put_many(self, blocks: Sequence[Block]) -> None:
        """All are durable when it returns; when it raises, some may be. Safe to repeat, and repairs a block that was
        found broken. Raises BlockCorrupt (then none was taken) and BlockStoreUnavailable."""
        ...

    async def check(self) -> None:
        """Returns when the store can take a block. Raises BlockStoreUnavailable."""
        ...


class MemoryBlockStore:
    """For tests and for what need not outlive the process."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    async def get(self, cid: Cid) -> bytes:
        if cid.digest not in self._blocks:
            raise BlockNotFound(cid)
        return Block(cid, self._blocks[cid.digest]).checked().data

    async def put_many(self, blocks: Sequence[Block]) -> None:
        self._blocks |= {block.checked().cid.digest: block.data for block in blocks}

    async def check(self) -> None:
        """Memory is always there."""


class FileBlockStore:
    """Blocks as files `ab/abcdef…` (the digest in hexadecimal, 256 folders by its first byte) beneath one root.

    A file appears whole or not at all: it is written as `tmp/…`, fsynced, renamed, and its folder fsynced. What a crash
    left in `tmp` is removed by a later `open`. Several processes may share the folder. Disk work runs in threads.
    """

    def __init__(self, root: Path) -> None:
        """`open` is the way in: it makes the folders."""
        self._root = root
        self._tmp = root / "tmp"

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Makes what is missing of the folders. Raises BlockStoreUnavailable."""
        store = cls(root)
        try:
            await _on_disk(store._prepare)
        except BlockStoreUnavailable as error:
            raise BlockStoreUnavailable(f"{root} cannot be written: {error}") from error
        return store

    async def get(self, cid: Cid) -> bytes:
        return await _on_disk(self._read, cid)

    async def put_many(self, blocks: Sequence[Block]) -> None:
        await _on_disk(self._write_all, blocks)

    async def check(self) -> None:
        await _on_disk(self._probe)

    def _prepare(self) -> None:
        new = [folder for folder in (self._root, *self._root.parents) if not folder.exists()]
        self._tmp.mkdir(parents=True, exist_ok=True)
        for first in range(256):
            (self._root / f"{first:02x}").mkdir(exist_ok=True)
        for folder in [self._root, *(folder.parent for folder in new)]:
            _fsync_folder(folder)
        abandoned = time.time() - _ABANDONED_AFTER
        for left in self._tmp.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                if left.stat().st_mtime < abandoned:
                    left.unlink()

    def _read(self, cid: Cid) -> bytes:
        path = self._path(cid)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BLOCK + 1)  # one more than there may be: `checked` refuses it
        except FileNotFoundError:
            if not path.parent.is_dir():  # the folders are always there: the disk is not
                raise
            raise BlockNotFound(cid) from None
        return Block(cid, data).checked().data

    def _write_all(self, blocks: Sequence[Block]) -> None:
        wanted = {block.checked().cid.digest: block for block in blocks}.values()
        missing = [block for block in wanted if not self._holds(block)]
        written: list[tuple[Path, Path]] = []
        try:
            for block in missing:
                written.append((self._tmp / new_id("blk"), self._path(block.cid)))
                _write_durably(written[-1][0], block.data)
            for temporary, path in written:
                temporary.replace(path)
        finally:
            for temporary, _ in written:
                temporary.unlink(missing_ok=True)
        # Also for blocks found here: whoever renamed them may have died before this very line.
        for folder in {self._path(block.cid).parent for block in wanted}:
            _fsync_folder(folder)

    def _holds(self, block: Block) -> bool:
        """Whether the very bytes are there. A truncated or rotten file does not count, and is written anew."""
        try:
            path = self._path(block.cid)
            return path.stat().st_size == len(block.data) and path.read_bytes() == block.data
        except FileNotFoundError:
            return False

    def _probe(self) -> None:
        path = self._tmp / new_id("probe")
        try:
            path.write_bytes(b"can this disk take a block?")
        finally:
            path.unlink(missing_ok=True)

    def _path(self, cid: Cid) -> Path:
        name = cid.digest.hex()
        return self._root / name[:2] / name


async def _on_disk(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`work` in a thread. Raises BlockStoreUnavailable for whatever the operating system has against it."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise BlockStoreUnavailable(f"the block store cannot do this now: {error.strerror}") from error


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _fsync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
