"""Which Debian packages what was copied came from. Each is entered in the image as distroless images do it, where
scanners look (`/var/lib/dpkg/status.d`), and its licence comes along. What no package owns (the official image's own
Python) is not invented."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scripts.images.builder.tree import Tree

_DPKG: Final = Path("/var/lib/dpkg")
_DOCUMENTS: Final = Path("/usr/share/doc")
_LICENCES: Final = Path("/usr/share/common-licenses")


def record(tree: Tree, sources: Iterable[Path]) -> list[str]:
    """Enters the packages of `sources`; their names, sorted."""
    owners = sorted(_owners({str(source) for source in sources}))
    stanzas = dict(_stanzas())
    for package in owners:
        tree.write(f"/var/lib/dpkg/status.d/{package}", stanzas[package].encode())
        copyright_file = _DOCUMENTS / package / "copyright"
        if copyright_file.is_file():
            text = copyright_file.read_bytes()
            tree.write(f"/usr/share/doc/{package}/copyright", text)
            _with_licences(tree, text)
    return owners


def _owners(sources: set[str]) -> set[str]:
    """dpkg's lists name files by where they were unpacked, so below /lib or /usr/lib; both are the same place."""
    wanted = {source.removeprefix("/usr") for source in sources}
    owners = set()
    for listed in sorted((_DPKG / "info").glob("*.list")):
        if not wanted.isdisjoint(line.removeprefix("/usr") for line in listed.read_text().splitlines()):
            owners.add(listed.stem.partition(":")[0])
    return owners


def _stanzas() -> Iterator[tuple[str, str]]:
    status = _DPKG / "status"
    for stanza in status.read_text().split("\n\n") if status.is_file() else []:
        name = re.match(r"Package: (\S+)", stanza)
        if name:
            yield name[1], stanza.strip() + "\n"


def _with_licences(tree: Tree, text: bytes) -> None:
    for name in sorted(set(re.findall(rb"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9+])", text))):
        licence = _LICENCES / name.decode()
        if licence.is_file():
            tree.write(f"/usr/share/common-licenses/{licence.name}", licence.read_bytes())
