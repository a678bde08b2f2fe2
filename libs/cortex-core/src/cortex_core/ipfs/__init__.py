"""Files by their content: CIDs, UnixFS trees and the stores of their blocks. Standard library only (docs/adr/0004).

    root = await write_file(chunks, store)              # the CID that `ipfs add --cid-version=1` gives
    file = await FileReader.open(root.cid, store.get)   # every block checked before it is given out

Refuses networking: Kubo's RPC client is a later issue's.
"""

from cortex_core.ipfs.block import MAX_BLOCK, Block, BlockCorrupt, BlockNotFound
from cortex_core.ipfs.blockstore import BlockStore, BlockStoreUnavailable, FileBlockStore, MemoryBlockStore
from cortex_core.ipfs.cid import DAG_PB, RAW, Cid, InvalidCid
from cortex_core.ipfs.reader import FileReader
from cortex_core.ipfs.unixfs import DEFAULT_LAYOUT, FileBuilder, FileRoot, Layout
from cortex_core.ipfs.writer import WrittenFile, write_file

__all__ = [
    "DAG_PB",
    "DEFAULT_LAYOUT",
    "MAX_BLOCK",
    "RAW",
    "Block",
    "BlockCorrupt",
    "BlockNotFound",
    "BlockStore",
    "BlockStoreUnavailable",
    "Cid",
    "FileBlockStore",
    "FileBuilder",
    "FileReader",
    "FileRoot",
    "InvalidCid",
    "Layout",
    "MemoryBlockStore",
    "WrittenFile",
    "write_file",
]
