"""What is in an image, read from the image itself: `docker inspect`, one run of its Python, and its files."""

import email.message
import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, cast

from scripts.images import bundled, wheel_sboms

_INFO: Final = re.compile(r"site-packages/([^/]+\.dist-info)/(.+)$")
_LICENCE: Final = re.compile(r"(licenses/.+|[^/]*(LICEN[CS]E|COPYING)[^/]*)$")
_DEBIAN: Final = re.compile(r"^var/lib/dpkg/status\.d/([^/]+?)(\.md5sums)?$")
_COPYRIGHT: Final = re.compile(r"^usr/share/doc/([^/]+)/copyright$")
_VENDORED: Final = re.compile(r"site-packages/.*/vendor\.json$")
_NATIVE: Final = re.compile(r"\.so(\.[0-9.]+)?$")
_MODULE: Final = re.compile(r"site-packages/(([^/]+?)(?:\.libs)?/.*|([^/]+?)\..*)$")
_PYTHON: Final = re.compile(r"/bin/python3\.\d+$")
_OWNERS: Final = {"PIL": "pillow", "_brotli": "brotli", "_cffi_backend": "cffi", "google": "protobuf"}
_LARGEST: Final = 4_000_000  # of a text that is kept


@dataclass(frozen=True, slots=True)
class File:
    """`path` without its first slash; `sha256` in hexadecimal, of the file as it lies in the image."""

    path: str
    sha256: str
    crates: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of Python: its metadata, its licence files and its own SBOMs by their names, and what it has compiled."""

    metadata: str
    licences: Mapping[str, str] = field(default_factory=dict)
    sboms: Mapping[str, bytes] = field(default_factory=dict)
    native: Sequence[File] = ()

    @property
    def headers(self) -> email.message.Message:
        return email.message_from_string(self.metadata)

    @property
    def name(self) -> str:
        """As package indices write it."""
        return normal(self.headers["Name"])

    @property
    def version(self) -> str:
        return str(self.headers["Version"])

    def has(self, module: str) -> bool:
        """Is this one of its compiled modules?"""
        place = f"site-packages/{module.replace('.', '/')}."
        return any(place in file.path for file in self.native)


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """dpkg's entry of it, its copyright file, and those of its files that are compiled."""

    entry: str
    copyright: str = ""
    native: Sequence[File] = ()

    @property
    def headers(self) -> email.message.Message:
        return email.message_from_string(self.entry)


@dataclass(frozen=True, slots=True)
class Contents:
    """Of an image: its id, what it says of itself, its release of Debian, and what is in it."""

    identity: str
    distributions: Sequence[Distribution]
    debian: Sequence[DebianPackage]
    versions: Mapping[str, str]
    scripts: Sequence[Mapping[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    digests: Sequence[str] = ()
    release: Mapping[str, str] = field(default_factory=dict)
    rest: Sequence[File] = ()  # compiled, and neither a distribution's nor a package's: the official image's Python

    @property
    def interpreter(self) -> File | None:
        everything = [*self.rest, *(file for package in self.debian for file in package.native)]
        return next((file for file in everything if _PYTHON.search(file.path)), None)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read(image: str) -> Contents:
    """Raises LookupError where the engine has no such image, ValueError where a file of it is too large to be what its
    name says."""
    inspected = json.loads(_said("docker", "image", "inspect", image))[0]
    container = _said("docker", "create", image)
    asked = ("docker", "run", "--rm", "--entrypoint", "python", image, "-c")
    try:
        versions = bundled.answers(_said(*asked, bundled.program()).splitlines()[-1])
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as exported,
            tarfile.open(fileobj=cast("IO[bytes]", exported.stdout), mode="r|") as archive,
        ):
            found = _Found()
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    found.take(member.name, member.size, file)
    finally:
        _said("docker", "rm", container)
    distributions, debian = list(found.distributions()), list(found.debian())
    owned = {
        file for native in (*(it.native for it in distributions), *(it.native for it in debian)) for file in native
    }
    return Contents(
        identity=inspected["Id"],
        distributions=distributions,
        debian=debian,
        versions=versions,
        scripts=found.scripts,
        labels=inspected["Config"].get("Labels") or {},
        digests=inspected.get("RepoDigests") or [],
        release=found.release,
        rest=sorted(set(found.native) - owned, key=lambda it: it.path),
    )


class _Found:
    """What an image's files say, taken as they pass."""

    def __init__(self) -> None:
        self.infos: dict[str, dict[str, bytes]] = {}
        self.native: list[File] = []
        self.entries: dict[str, str] = {}
        self.sums: dict[str, set[str]] = {}
        self.copyrights: dict[str, str] = {}
        self.scripts: list[Mapping[str, str]] = []
        self.release: Mapping[str, str] = {}

    def take(self, name: str, size: int, file: IO[bytes]) -> None:
        if _NATIVE.search(name) or _PYTHON.search(name):
            data = file.read()
            self.native.append(File(name, hashlib.sha256(data).hexdigest(), tuple(bundled.crates(data))))
            return
        patterns = (_INFO, _DEBIAN, _COPYRIGHT, _VENDORED)
        if name != "usr/lib/os-release" and not any(each.search(name) for each in patterns):
            return
        if size > min(_LARGEST, wheel_sboms.LARGEST):
            raise ValueError(f"{name} has {size} bytes")
        self._text(name, file.read())

    def _text(self, name: str, data: bytes) -> None:
        if info := _INFO.search(name):
            self.infos.setdefault(info[1], {})[info[2]] = data
        elif (entry := _DEBIAN.search(name)) and entry[2]:
            self.sums[entry[1]] = {line.partition("  ")[2] for line in data.decode().splitlines()}
        elif entry:
            self.entries[entry[1]] = data.decode()
        elif document := _COPYRIGHT.search(name):
            self.copyrights[document[1]] = data.decode(errors="replace")
        elif _VENDORED.search(name):
            self.scripts.append(json.loads(data))
        else:
            pairs = (line.partition("=") for line in data.decode().splitlines() if "=" in line)
            self.release = {key: value.strip("\"'") for key, _, value in pairs}

    def distributions(self) -> Iterator[Distribution]:
        for files in (files for _, files in sorted(self.infos.items()) if "METADATA" in files):
            found = Distribution(
                files["METADATA"].decode(),
                {name: text.decode(errors="replace") for name, text in files.items() if _LICENCE.match(name)},
                {name: text for name, text in files.items() if re.match(r"sboms/[^/]+\.json$", name)},
            )
            native = [it for it in self.native if owner(it.path) == found.name]
            yield Distribution(found.metadata, found.licences, found.sboms, sorted(native, key=lambda it: it.path))

    def debian(self) -> Iterator[DebianPackage]:
        for name, entry in sorted(self.entries.items()):
            native = [it for it in self.native if it.path in self.sums.get(name, ())]
            yield DebianPackage(entry, self.copyrights.get(name, ""), sorted(native, key=lambda it: it.path))


def owner(path: str) -> str:
    """The distribution that what is compiled at `path` belongs to; empty where it is none's."""
    found = _MODULE.search(path)
    top = (found[2] or found[3]) if found else ""
    return _OWNERS.get(top) or normal(top)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError((done.stderr.strip().splitlines() or ["docker says nothing"])[-1])
    return done.stdout.strip()
