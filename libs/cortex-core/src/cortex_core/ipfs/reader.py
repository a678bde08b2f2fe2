"""A file read back from its blocks, which may come from anywhere: nothing is given out that was not checked.

Owns the walk over the tree: each block's hash against its CID, its size against what its parent declared, in the order
of the file, one block in memory at a time. Reads what any UnixFS writer makes of a file (also version 0, leaves inside
dag-pb, trickle layout). Bounded whatever comes: blocks of at most `MAX_BLOCK`, `MAX_DEPTH` levels, no part without
bytes. Refuses to know where blocks live: `get` does.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Self

from cortex_core.ipfs import dagpb
from cortex_core.ipfs.block import Block, BlockCorrupt
from cortex_core.ipfs.cid import RAW, Cid

Get = Callable[[Cid], Awaitable[bytes]]
"""A block's bytes by its CID; may be wrong ones. Raises BlockNotFound."""

MAX_DEPTH: Final = 64  # 174 links a node reach 2⁶³ bytes in 7 levels; trickle trees are deeper, never this deep


class FileReader:
    """A file whose root has been checked. `size` is in bytes."""

    def __init__(self, cid: Cid, root: dagpb.FileNode, get: Get, *, checks: bool = True) -> None:
        self.cid = cid
        self.size = root.size
        self._root = root
        self._get = get
        self._checks = checks

    @classmethod
    async def open(cls, cid: Cid, get: Get, *, checks: bool = True) -> Self:
        """Fetches the root. `checks` False: `get` is a `BlockStore`'s, which has checked what it gives, off the event
        loop; hundreds of readers at once would otherwise have it hash all their blocks a second time. Raises
        BlockNotFound; BlockCorrupt when it is not the root of a file."""
        return cls(cid, await _fetch(cid, get, checks=checks), get, checks=checks)

    async def read(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` (included) to `stop` (excluded; default: the end) in pieces of at most a block.

        Fetches only the blocks on the way to them. Raises BlockNotFound and BlockCorrupt, where all that was given out
        before is right.
        """
        stop = self.size if stop is None else min(stop, self.size)
        waiting: list[tuple[dagpb.Part | dagpb.FileNode, int, int]] = [(self._root, 0, 0)]  # with depth and offset
        while waiting:
            step, depth, offset = waiting.pop()
            if offset >= stop or offset + step.size <= start:
                continue
            node = step if isinstance(step, dagpb.FileNode) else await self._fetch_part(step, depth)
            if piece := node.data[max(start - offset, 0) : max(stop - offset, 0)]:
                yield piece
            offset += len(node.data)
            children: list[tuple[dagpb.Part | dagpb.FileNode, int, int]] = []
            for part in node.parts:
                children.append((part, depth + 1, offset))
                offset += part.size
            waiting.extend(reversed(children))

    async def _fetch_part(self, part: dagpb.Part, depth: int) -> dagpb.FileNode:
        if depth > MAX_DEPTH:
            raise BlockCorrupt(part.cid, f"more than {MAX_DEPTH} levels deep")
        node = await _fetch(part.cid, self._get, checks=self._checks)
        if node.size != part.size:
            raise BlockCorrupt(part.cid, f"{node.size} bytes of file, where its parent declares {part.size}")
        return node


async def _fetch(cid: Cid, get: Get, *, checks: bool) -> dagpb.FileNode:
    data = await get(cid)
    if checks:
        data = Block(cid, data).checked().data
    if cid.codec == RAW:
        return dagpb.FileNode([], data)
    try:
        return dagpb.decode(data)
    except dagpb.MalformedNode as error:
        raise BlockCorrupt(cid, str(error)) from error
