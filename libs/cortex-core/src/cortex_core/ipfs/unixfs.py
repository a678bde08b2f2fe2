"""A file as a tree of blocks, built while it streams by: equal, CID by CID, to what
`ipfs add --cid-version=1 --raw-leaves --chunker=size-262144 --max-file-links=174` makes of it.

Owns the balanced layout (https://specs.ipfs.tech/unixfs/#layout): the file is cut into chunks, each chunk is a raw
block; links to at most `max_links` blocks make a node, links to nodes a node above, until one is left. A file of one
chunk is that chunk's block, an empty one the empty block. Pure: gives out finished blocks and keeps only the rest of a
chunk and one open node a level (1 GB: two levels). Next: `reader.py`, the way back.
"""

from dataclasses import dataclass
from typing import Final

from cortex_core.ipfs import dagpb
from cortex_core.ipfs.block import MAX_BLOCK, Block
from cortex_core.ipfs.cid import DAG_PB, RAW, Cid


@dataclass(frozen=True, slots=True)
class Layout:
    """The two numbers that a CID depends on: bytes a chunk, links a node."""

    chunk_size: int = 262_144
    max_links: int = 174

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_size <= MAX_BLOCK:
            raise ValueError(f"chunks of {self.chunk_size} bytes: 1 to {MAX_BLOCK} make blocks that others take")
        if self.max_links < 2:
            raise ValueError(f"nodes of {self.max_links} links never come together in one root")


DEFAULT_LAYOUT: Final = Layout()


@dataclass(frozen=True, slots=True)
class FileRoot:
    """A file built: its CID and its size in bytes; `blocks` are the last ones, children before parents."""

    cid: Cid
    size: int
    blocks: list[Block]


class FileBuilder:
    """Takes a file piece by piece (`add`), then `finish`. Each call hands out the blocks that it completed."""

    def __init__(self, layout: Layout = DEFAULT_LAYOUT) -> None:
        self._layout = layout
        self._rest = bytearray()  # shorter than a chunk between calls
        self._levels: list[list[dagpb.Part]] = [[]]  # the open node of each level, the leaves' parents first
        self.size = 0  # bytes taken so far

    def add(self, data: bytes) -> list[Block]:
        """The next bytes of the file, of any length."""
        self.size += len(data)
        self._rest += data
        finished: list[Block] = []
        while len(self._rest) >= self._layout.chunk_size:
            chunk = bytes(memoryview(self._rest)[: self._layout.chunk_size])
            del self._rest[: self._layout.chunk_size]
            self._leaf(chunk, finished)
        return finished

    def finish(self) -> FileRoot:
        """The file ends here. The builder is of no use afterwards."""
        finished: list[Block] = []
        if self._rest or self.size == 0:
            self._leaf(bytes(self._rest), finished)
        for level, parts in enumerate(self._levels):  # grows while we walk, until the last level is one node
            is_top = level == len(self._levels) - 1
            if parts and not (is_top and len(parts) == 1):
                self._close(level, finished)
        (root,) = self._levels[-1]
        return FileRoot(root.cid, self.size, finished)

    def _leaf(self, chunk: bytes, finished: list[Block]) -> None:
        block = Block.of(RAW, chunk)
        finished.append(block)
        self._link(0, dagpb.Part(block.cid, size=len(chunk), tsize=len(chunk)), finished)

    def _link(self, level: int, part: dagpb.Part, finished: list[Block]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(part)
        if len(self._levels[level]) == self._layout.max_links:
            self._close(level, finished)

    def _close(self, level: int, finished: list[Block]) -> None:
        node = dagpb.FileNode(self._levels[level])
        self._levels[level] = []
        block = Block.of(DAG_PB, dagpb.encode(node))
        finished.append(block)
        tsize = len(block.data) + sum(part.tsize for part in node.parts)
        self._link(level + 1, dagpb.Part(block.cid, size=node.size, tsize=tsize), finished)
