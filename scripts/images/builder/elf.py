"""ELF files as far as an image cares: which libraries one loads, and its bytes without what only a debugger reads.

Stripping is done here and not by binutils: the builder then needs nothing but Python, and no package archive. Refuses
to touch what it does not know to be a 64-bit little-endian ELF file."""

import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

_MAGIC: Final = b"\x7fELF\x02\x01"
_FILE_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
_SECTION_HEADER: Final = struct.Struct("<IIQQQQIIQQ")
_ALLOC, _INFO_LINK = 0x2, 0x40
_STRING_TABLE: Final = 3
_LOAD: Final = 1
_PAGE: Final = {62: 0x1000}  # by machine: x86-64 has pages of 4 KiB
_LARGEST_PAGE: Final = 0x10000
_Piece = tuple[int, int, int]  # from, to, and where it lies now
_LARGEST_LIST: Final = 0xFF00  # section numbers from here on mean something else


class MissingLibrary(Exception):
    """A program or library needs one that is not here."""


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _MAGIC[:4]


def libraries(path: Path) -> dict[str, Path]:
    """What the loader loads with `path`: the name asked for, and the file found; the loader itself too. Raises
    MissingLibrary."""
    found: dict[str, Path] = {}
    said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        name, _, place = line.strip().partition(" => ")
        if place.startswith("not found"):
            raise MissingLibrary(f"{path} needs {name}, which is not installed")
        place = (place or name).split(" (")[0].strip()
        if place.startswith("/"):
            found[Path(name.split(" (")[0]).name] = Path(place)
    return found


@dataclass(frozen=True, slots=True)
class _Program:
    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int

    def moved(self, pieces: list[_Piece], page: int) -> tuple[int, ...]:
        place = _moved(self.offset, pieces)
        alignment = min(self.alignment, page) if self.kind == _LOAD and len(pieces) > 1 else self.alignment
        return (self.kind, self.flags, self.offset if place is None else place, self.address, self.physical,
                self.file_size, self.memory_size, alignment)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int

    def packed(self) -> bytes:
        return _SECTION_HEADER.pack(
            self.name, self.kind, self.flags, self.address, self.offset, self.size, self.link, self.info,
            self.alignment, self.entry,
        )  # fmt: skip


def stripped(data: bytes) -> bytes:
    """`data` without what is never loaded: symbols, debugging information, comments, and the holes that tools leave
    which append to a file. No address in memory changes. The same bytes where there is nothing to gain, or for another
    kind of file."""
    if not data.startswith(_MAGIC) or len(data) < _FILE_HEADER.size:
        return data
    header = list(_FILE_HEADER.unpack_from(data))
    program_at, section_at = header[5], header[6]
    section_size, sections, names_at = header[11:14]
    if section_size != _SECTION_HEADER.size or not 0 < sections < _LARGEST_LIST:
        return data
    programs = [
        _Program(*_PROGRAM_HEADER.unpack_from(data, program_at + n * _PROGRAM_HEADER.size)) for n in range(header[10])
    ]
    table = [_Section(*_SECTION_HEADER.unpack_from(data, section_at + n * section_size)) for n in range(sections)]
    page = _PAGE.get(header[2], _LARGEST_PAGE)
    pieces = _pieces(programs, program_at, page)
    kept = [0] + [n for n, each in enumerate(table) if each.flags & _ALLOC and _moved(each.offset, pieces) is not None]
    slim = bytearray()
    for start, end, place in pieces:
        slim += bytes(place - len(slim)) + data[start:end]
    header[5] = _moved(program_at, pieces)
    for number, each in enumerate(programs):
        _PROGRAM_HEADER.pack_into(slim, header[5] + number * _PROGRAM_HEADER.size, *each.moved(pieces, page))
    slim += _section_table(data, table, kept, table[names_at].offset, pieces)
    header[6] = len(slim) - _SECTION_HEADER.size * (len(kept) + 1)
    header[12:14] = [len(kept) + 1, len(kept)]
    _FILE_HEADER.pack_into(slim, 0, *header)
    return bytes(slim) if len(slim) < len(data) else data


def _pieces(programs: list[_Program], program_at: int, page: int) -> list[_Piece]:
    """What is loaded, pushed together; an offset and its address stay equal modulo a page. One piece, to the last byte
    that any header names, where something lies outside of what is loaded."""
    loaded = sorted((each.offset, each.offset + each.file_size) for each in programs if each.kind == _LOAD)
    pieces: list[_Piece] = []
    size = 0
    for start, end in loaded:
        place = size + (start - size) % page
        pieces.append((start, end, place))
        size = place + end - start
    named = [each.offset for each in programs if each.file_size] + [program_at]
    if loaded and loaded[0][0] == 0 and all(_moved(offset, pieces) is not None for offset in named):
        return pieces
    table_end = program_at + _PROGRAM_HEADER.size * len(programs)
    end = max([_FILE_HEADER.size, table_end, *(each.offset + each.file_size for each in programs)])
    return [(0, end, 0)]


def _moved(offset: int, pieces: list[_Piece]) -> int | None:
    """Where `offset` lies now. An empty section may lie at the very end of a piece."""
    for start, end, place in pieces:
        if start <= offset < end:
            return offset - start + place
    return next((offset - start + place for start, end, place in pieces if offset == end), None)


def _section_table(data: bytes, table: list[_Section], kept: list[int], names_at: int, pieces: list[_Piece]) -> bytes:
    """The names of the sections kept and their headers, as they stand behind the pieces: scanners look for sections."""
    last = pieces[-1]
    end = last[2] + last[1] - last[0]
    numbers = {old: new for new, old in enumerate(kept)}
    names = bytearray(b"\0")
    headers = []
    for old in kept:
        each = table[old]
        start = names_at + each.name
        name = data[start : data.index(b"\0", start)]
        info = numbers.get(each.info, 0) if each.flags & _INFO_LINK else each.info
        offset = _moved(each.offset, pieces) or 0
        link = numbers.get(each.link, 0)
        headers.append(replace(each, name=len(names) if old else 0, offset=offset, link=link, info=info))
        if old:
            names += name + b"\0"
    own = len(names)
    names += b".shstrtab\0"
    padding = -(end + len(names)) % 8
    headers.append(_Section(own, _STRING_TABLE, 0, 0, end, len(names), 0, 0, 1, 0))
    return bytes(names) + bytes(padding) + b"".join(each.packed() for each in headers)
