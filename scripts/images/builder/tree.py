"""A tree of files that becomes a layer: each written once, with the same owner, mode and time at every build."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.images.builder.elf import stripped

MOMENT: Final = 1_577_836_800  # 2020-01-01, for every file: equal contents make equal layers


class Tree:
    """Files below `root`, which stands for `/` of the image. Refuses to write one path twice with different bytes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def at(self, path: Path | str) -> Path:
        return self.root / str(path).lstrip("/")

    def write(self, path: Path | str, data: bytes, mode: int = 0o644) -> None:
        target = self.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and target.read_bytes() != data:
            raise ValueError(f"{path} would be written twice, differently")
        target.write_bytes(data)
        target.chmod(mode)

    def copy(self, source: Path, path: Path | str | None = None) -> None:
        """A file, to the same place unless `path` says another; programs and libraries without their symbols."""
        data = stripped(source.read_bytes())
        self.write(path or source, data, 0o755 if os.access(source, os.X_OK) else 0o644)

    def link(self, path: Path | str, target: str) -> None:
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(target)

    def folder(self, path: str, mode: int = 0o755) -> None:
        place = self.at(path)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(mode)

    def files(self) -> Iterator[Path]:
        """Paths below the root, sorted."""
        for folder, folders, names in list(os.walk(self.root)):
            links = [name for name in folders if Path(folder, name).is_symlink()]
            yield from (Path(folder, name).relative_to(self.root) for name in sorted([*names, *links]))

    def without(self, other: Path) -> None:
        """Drops what `other`, a tree beneath this one, has with the same bytes."""
        for path in self.files():
            if _same(self.root / path, other / path):
                (self.root / path).unlink()
        for folder, _, _ in os.walk(self.root, topdown=False):
            if Path(folder) != self.root and not any(Path(folder).iterdir()):
                Path(folder).rmdir()

    def settle(self) -> None:
        """Gives everything its time. Last of all: writing into a folder changes the folder's."""
        for folder, folders, names in os.walk(self.root, topdown=False):
            for name in (*folders, *names):
                os.utime(Path(folder, name), (MOMENT, MOMENT), follow_symlinks=False)
        os.utime(self.root, (MOMENT, MOMENT))


def _same(one: Path, other: Path) -> bool:
    if not os.path.lexists(other):
        return False
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return one.read_bytes() == other.read_bytes()
