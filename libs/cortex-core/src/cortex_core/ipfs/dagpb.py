"""What a file's inner nodes look like: dag-pb (https://ipld.io/specs/codecs/dag-pb/spec/) around UnixFS's own message
(https://specs.ipfs.tech/unixfs/), both protobuf, written by hand: a CID hangs on every byte of them.

Owns the two messages of a *file*. Refuses directories, symbolic links and HAMT shards. Next: `unixfs.py` builds,
`reader.py` reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cortex_core.ipfs import varint
from cortex_core.ipfs.cid import Cid, InvalidCid

_VARINT, _BYTES = 0, 2  # protobuf's wire types
_RAW_TYPE, _FILE_TYPE = 0, 2  # UnixFS's DataType
_KIND_NAMES: Final = {1: "directory", 3: "metadata", 4: "symbolic link", 5: "HAMT shard"}


class MalformedNode(ValueError):
    """The block is not a node of a file. The text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """One child: `size` is how many bytes of the file it holds, `tsize` how many its blocks take, itself included."""

    cid: Cid
    size: int
    tsize: int


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file, or a stretch of one: its own `data` first, then its parts in order."""

    parts: Sequence[Part]
    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data) + sum(part.size for part in self.parts)


def encode(node: FileNode) -> bytes:
    """The canonical bytes: links, then data, as Kubo and the JS importer write them."""
    message = _number(1, _FILE_TYPE)
    if node.data:
        message += _field(2, node.data)
    message += _number(3, node.size) + b"".join(_number(4, part.size) for part in node.parts)
    return b"".join(_field(2, _link(part)) for part in node.parts) + _field(1, message)


def decode(block: bytes) -> FileNode:
    """The inverse. Takes either order of links and data (old writers differ). Raises MalformedNode."""
    try:
        links: list[tuple[Cid, int]] = []
        message: bytes | None = None
        for number, value in _fields(block):
            if number == 2 and isinstance(value, bytes):
                links.append(_read_link(value))
            elif number == 1 and isinstance(value, bytes) and message is None:
                message = value
            else:
                raise MalformedNode(f"field {number} does not belong in a dag-pb node")
        if message is None:
            raise MalformedNode("a node without UnixFS data")
        return _join(links, *_read_file(message))
    except InvalidCid as error:
        raise MalformedNode(error.message) from error


def _join(links: list[tuple[Cid, int]], data: bytes, filesize: int, sizes: list[int]) -> FileNode:
    if len(sizes) != len(links):
        raise MalformedNode(f"{len(links)} links and {len(sizes)} block sizes")
    if 0 in sizes:  # no writer makes one, and 174 links to it at each of many levels would never end
        raise MalformedNode("a part without bytes")
    node = FileNode([Part(cid, size, tsize) for (cid, tsize), size in zip(links, sizes, strict=True)], data)
    if node.size != filesize:
        raise MalformedNode(f"a file of {filesize} bytes whose parts have {node.size}")
    return node


def _read_link(link: bytes) -> tuple[Cid, int]:
    cid, tsize = None, 0
    for number, value in _fields(link):
        if number == 1 and isinstance(value, bytes):
            cid = Cid.from_bytes(value)
        elif number == 3 and isinstance(value, int):
            tsize = value
        elif number != 2 or not isinstance(value, bytes):  # 2 is the name, empty in files
            raise MalformedNode(f"field {number} does not belong in a link")
    if cid is None:
        raise MalformedNode("a link without a CID")
    return cid, tsize


def _read_file(message: bytes) -> tuple[bytes, int, list[int]]:
    kind, data, filesize = None, b"", None
    sizes: list[int] = []
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            data = value
        elif number == 3 and isinstance(value, int):
            filesize = value
        elif number == 4 and isinstance(value, int):
            sizes.append(value)
        elif number not in (7, 8):  # mode and mtime: what a file is does not hang on them
            raise MalformedNode(f"field {number} does not belong in a file")
    if kind not in (_FILE_TYPE, _RAW_TYPE):
        raise MalformedNode(f"a {_KIND_NAMES.get(kind or 0, f'UnixFS type {kind}')}, not a file")
    return data, len(data) if filesize is None else filesize, sizes


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value. Raises MalformedNode for wire types that are not used here, and when cut off."""
    at = 0
    while at < len(message):
        try:
            tag, at = varint.decode(message, at)
            number, at = varint.decode(message, at)
        except ValueError as error:
            raise MalformedNode(str(error)) from error
        if tag & 7 == _VARINT:
            yield tag >> 3, number
        elif tag & 7 == _BYTES and at + number <= len(message):
            yield tag >> 3, message[at : at + number]
            at += number
        else:
            raise MalformedNode(f"field {tag >> 3} is cut off or of wire type {tag & 7}")


def _link(part: Part) -> bytes:
    return _field(1, part.cid.to_bytes()) + _field(2, b"") + _number(3, part.tsize)


def _number(field: int, number: int) -> bytes:
    return varint.encode(field << 3 | _VARINT) + varint.encode(number)


def _field(field: int, data: bytes) -> bytes:
    return varint.encode(field << 3 | _BYTES) + varint.encode(len(data)) + data
