"""A block: some bytes and their name; and the two ways in which it can fail to be there."""

from dataclasses import dataclass
from typing import Final, Self

from cortex_core.ipfs.cid import Cid
from cortex_core.kernel.errors import CortexError, Kind

MAX_BLOCK: Final = 2 * 1024 * 1024
"""Bytes. No block is larger: it is what IPFS nodes exchange at most, and bounds what one of unknown origin may cost."""


class BlockNotFound(CortexError):
    """Nobody asked has it."""

    code, kind = "block.not-found", Kind.NOT_FOUND

    def __init__(self, cid: Cid) -> None:
        super().__init__(f"block {cid} is not here", cid=str(cid))


class BlockCorrupt(CortexError):
    """What came is not what its name or its parent says. Asking the same source again does not help."""

    code, kind = "block.corrupt", Kind.INTERNAL

    def __init__(self, cid: Cid, reason: str) -> None:
        super().__init__(f"block {cid} is corrupt: {reason}", cid=str(cid), reason=reason)


@dataclass(frozen=True, slots=True)
class Block:
    """`of` makes one that is true by construction; one put together by hand is to be `checked`."""

    cid: Cid
    data: bytes

    @classmethod
    def of(cls, codec: int, data: bytes) -> Self:
        return cls(Cid.of(codec, data), data)

    def checked(self) -> Self:
        """Itself. Raises BlockCorrupt when it is too large or its bytes are others than its CID names."""
        if len(self.data) > MAX_BLOCK:
            raise BlockCorrupt(self.cid, f"{len(self.data)} bytes, where a block has {MAX_BLOCK} at most")
        if not self.cid.names(self.data):
            raise BlockCorrupt(self.cid, "its bytes have another hash")
        return self
