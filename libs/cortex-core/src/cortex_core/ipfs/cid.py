"""Content identifiers (https://github.com/multiformats/cid): what some bytes are called, whoever stores them.

Owns the names of blocks as UnixFS makes them: version 0 (`Qm…`) and 1, codecs raw and dag-pb, SHA2-256. Refuses every
other codec and hash: a name that cannot be checked is worth nothing here. Next: `dagpb.py`, what a dag-pb block says.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from cortex_core.ipfs import multibase, varint
from cortex_core.kernel.errors import CortexError, Kind

RAW: Final = 0x55  # https://github.com/multiformats/multicodec/blob/master/table.csv
DAG_PB: Final = 0x70
_SHA2_256: Final = b"\x12\x20"  # the multihash prefix: the function's code, then its 32 bytes
_MAX_TEXT: Final = 128  # the longest we write has 73 letters (base16); longer ones are refused before any work on them


class InvalidCid(CortexError):
    """Not a CID, or not one of the kinds known here."""

    code, kind = "cid.invalid", Kind.INVALID

    def __init__(self, given: str | bytes, reason: str) -> None:
        shown = ascii(given[:_MAX_TEXT])
        super().__init__(f"{shown} is not a CID known here: {reason}", reason=reason)


@dataclass(frozen=True, slots=True)
class Cid:
    """A block's name: `codec` says how to read it, `digest` (SHA2-256, 32 bytes) which bytes it is.

    Version 0 exists for dag-pb alone. Raises InvalidCid when the three do not go together.
    """

    version: int
    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.version not in (0, 1):
            raise InvalidCid(self.digest, f"version {self.version}")
        if self.codec not in (RAW, DAG_PB):
            raise InvalidCid(self.digest, f"codec {self.codec:#x} is neither raw nor dag-pb")
        if self.version == 0 and self.codec != DAG_PB:
            raise InvalidCid(self.digest, "version 0 is dag-pb only")
        if len(self.digest) != 32:
            raise InvalidCid(self.digest, f"a SHA2-256 digest of {len(self.digest)} bytes")

    @classmethod
    def of(cls, codec: int, block: bytes | memoryview) -> Self:
        """The CID, of version 1, of `block`."""
        return cls(1, codec, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Any text form: `Qm…`, or version 1 in base16 (f), 32 (b), 36 (k) or base58btc (z). Raises InvalidCid."""
        if len(text) > _MAX_TEXT:
            raise InvalidCid(text, f"{len(text)} letters are too many")
        try:
            if len(text) == 46 and text.startswith("Qm"):
                return cls.from_bytes(multibase.decode_base58(text))
            data = multibase.decode(text)
        except ValueError as error:
            raise InvalidCid(text, str(error)) from error
        if data.startswith(_SHA2_256):
            raise InvalidCid(text, "version 0 has no multibase prefix")
        return cls.from_bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The binary form, as links have it. Raises InvalidCid, also for bytes after the end."""
        if data.startswith(_SHA2_256) and len(data) == 34:
            return cls(0, DAG_PB, data[2:])
        try:
            version, at = varint.decode(data)
            codec, at = varint.decode(data, at)
        except ValueError as error:
            raise InvalidCid(data, str(error)) from error
        if version != 1:
            raise InvalidCid(data, f"version {version}")
        if data[at : at + 2] != _SHA2_256:
            raise InvalidCid(data, "its hash is not SHA2-256")
        return cls(1, codec, data[at + 2 :])

    def to_bytes(self) -> bytes:
        multihash = _SHA2_256 + self.digest
        return multihash if self.version == 0 else bytes((1, self.codec)) + multihash

    def to_v1(self) -> Self:
        """The same content under the name the hub writes: every way to spell a CID ends in one `str(cid.to_v1())`."""
        return type(self)(1, self.codec, self.digest)

    def encode(self, base: str = "b") -> str:
        """The text in one of `multibase`'s bases; version 0 knows base58btc without a prefix and nothing else."""
        return (
            multibase.encode_base58(self.to_bytes()) if self.version == 0 else multibase.encode(base, self.to_bytes())
        )

    def names(self, block: bytes) -> bool:
        """Whether `block` is the bytes this CID stands for."""
        return hashlib.sha256(block).digest() == self.digest

    def __str__(self) -> str:
        return self.encode()
