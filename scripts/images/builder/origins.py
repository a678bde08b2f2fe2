"""Which Debian packages what was copied came from. Each is entered in the image as distroless images do it, where
scanners look (`/var/lib/dpkg/status.d`), with the sums of its files, and its licence comes along. What no package owns
(the official image's own Python) is not invented. Advisories are of a release, so that is said as Debian says it."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts.images.builder.tree import Tree

_DPKG: Final = Path("/var/lib/dpkg")
_DOCUMENTS: Final = Path("/usr/share/doc")
_LICENCES: Final = Path("/usr/share/common-licenses")
_RELEASE: Final = ("/usr/lib/os-release", "/etc/debian_version")


def release(tree: Tree, base: Path = Path("/")) -> list[Path]:
    """Says in `tree` which release `base` is; the files that say it, none where it is silent."""
    found = [name for name in _RELEASE if (base / name[1:]).is_file()]
    for name in found:
        tree.write(name, (base / name[1:]).read_bytes())
    if _RELEASE[0] in found:
        tree.link("/etc/os-release", f"..{_RELEASE[0]}")
    return [Path(name) for name in found]


def record(tree: Tree, sources: Iterable[Path], beneath: Sequence[Path] = ()) -> list[str]:
    """Enters the packages of `sources`; their names, sorted. `beneath`: the layers that this one lies on, since what it
    says of a package hides what they say."""
    lists = _owners({str(source) for source in sources})
    owners = sorted(lists)
    stanzas = dict(_stanzas())
    for package in owners:
        tree.write(f"/var/lib/dpkg/status.d/{package}", stanzas[package].encode())
        if sums := "".join(_sums([tree.root, *reversed(beneath)], lists[package])):
            tree.write(f"/var/lib/dpkg/status.d/{package}.md5sums", sums.encode())
        copyright_file = _DOCUMENTS / package / "copyright"
        if copyright_file.is_file():
            text = copyright_file.read_bytes()
            tree.write(f"/usr/share/doc/{package}/copyright", text)
            _with_licences(tree, text)
    return owners


def _owners(sources: set[str]) -> dict[str, list[str]]:
    """By package the files that it has. dpkg's lists name files by where they were unpacked, so below /lib or /usr/lib;
    both are the same place."""
    wanted = {source.removeprefix("/usr") for source in sources}
    owners = {}
    for listed in sorted((_DPKG / "info").glob("*.list")):
        names = listed.read_text().splitlines()
        if not wanted.isdisjoint(line.removeprefix("/usr") for line in names):
            owners[listed.stem.partition(":")[0]] = names
    return owners


def _sums(layers: Sequence[Path], names: Iterable[str]) -> Iterator[str]:
    """Of those of `names` that lie in one of `layers` (the uppermost first), as they lie there: a stripped library has
    not the package's own sum."""
    for name in sorted({re.sub(r"^/(?=(lib\w*|s?bin)/)", "/usr/", name) for name in names}):
        found = (layer / name[1:] for layer in layers)
        here = next((place for place in found if os.path.lexists(place)), None)
        if here is not None and here.is_file() and not here.is_symlink():
            yield f"{hashlib.md5(here.read_bytes(), usedforsecurity=False).hexdigest()}  {name[1:]}\n"


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
