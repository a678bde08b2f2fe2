"""The layer that all images share: Python, its standard library, the shared libraries these load, and what a process
expects of a system (who it is, whom it trusts, what time it is where). No shell, no package manager, nothing to log
into.

Where things lie is asked of Python itself, so that Debian's (/usr) and the official image's (/usr/local) both serve,
and everything keeps its place: the interpreter finds its library by where it was built to be."""

import io
import re
import ssl
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from scripts.images.builder import origins
from scripts.images.builder.code import compiled
from scripts.images.builder.elf import is_elf, libraries
from scripts.images.builder.tree import Tree

_LIBRARY: Final = Path(sysconfig.get_path("stdlib"))
_DYNAMIC: Final = "lib-dynload"
_FIRST: Final = Path(__file__).with_name("first_process.py")
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)

# Tests, teaching, windows on a screen, installing packages, editing lines: nothing a service does.
_UNUSED: Final = re.compile(
    r"""(test|idlelib|tkinter|turtledemo|ensurepip|lib2to3|distutils|pydoc_data|venv|msilib|curses|dbm|config-[^/]*
        |site-packages|dist-packages|__pycache__|__phello__|[^/]*/test|[^/]*/tests|ctypes/macholib|unittest/test)/
      |(turtle|antigravity|this|idle|__hello__|_aix_support|_osx_support|_distutils_system_mod|sitecustomize)\.py$
      |[^/]*\.(exe|bat|ico|gif|txt|html)$""",
    re.VERBOSE,
)
_UNUSED_EXTENSIONS: Final = re.compile(
    r"(_test|_xx|xx|_tkinter|_curses|readline|_gdbm|_dbm|nis\.|ossaudiodev|spwd\.|_ctypes_test|_crypt\.)"
)
_ON_DISK: Final = frozenset({"os.py"})  # the landmark by which the interpreter knows its library
_BESIDE: Final = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2")  # opened by name while running
_AUTHORITIES: Final = Path("/usr/share/ca-certificates")
BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_USER: Final = 10001

_ANYBODYS: Final = ("/tmp", "/var/lib/cortex", "/var/lib/cortex/blocks")  # whatever user the image is told to be

_IDENTITY: Final = {
    "/etc/passwd": f"root:x:0:0:root:/:/nologin\ncortex:x:{_USER}:{_USER}:cortex:/tmp:/nologin\n",
    "/etc/group": f"root:x:0:\ncortex:x:{_USER}:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def compose(root: Path) -> list[str]:
    """Writes the layer below `root`; the Debian packages that it holds parts of."""
    tree = Tree(root)
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            tree.link(f"/{name}", str(Path("/", name).readlink()))
    sources = [*_interpreter(tree), *_standard_library(tree)]
    copied = copy_libraries(tree, [source for source in sources if is_elf(source)], _beside())
    data = [*_trust(tree), *_time_zones(tree), *origins.release(tree)]
    for path, text in _IDENTITY.items():
        tree.write(path, text.encode())
    for place in _ANYBODYS:
        tree.folder(place, 0o1777)
    places = sorted({str(library.resolve().parent) for library in copied})
    subprocess.run(["ldconfig", "-X", "-r", str(root), *places], check=True)  # some lie where no loader looks by itself
    for leftover in ("/var/cache/ldconfig/aux-cache", "/etc/ld.so.conf"):
        tree.at(leftover).unlink(missing_ok=True)
    packages = origins.record(tree, [*sources, *copied, *data])
    tree.settle()
    return packages


def _interpreter(tree: Tree) -> Iterator[Path]:
    binary = Path(sys.executable).resolve()
    tree.copy(binary)
    for name in ("python3", "python"):
        tree.link(binary.parent / name, binary.name)
    yield binary


def _standard_library(tree: Tree) -> Iterator[Path]:
    """As one archive, which Python looks for beside the folder: a third of the bytes, and one file to open."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as library:
        for source in sorted(_LIBRARY.rglob("*.py")):
            name = source.relative_to(_LIBRARY).as_posix()
            if _UNUSED.match(name) or not source.is_file():
                continue
            data = compiled(source.read_bytes(), str(source))
            if name in _ON_DISK:
                tree.write(source.with_suffix(".pyc"), data)
            library.writestr(zipfile.ZipInfo(f"{name}c", _NO_TIME), data, zipfile.ZIP_DEFLATED)
            yield source
        first = compiled(_FIRST.read_bytes(), "sitecustomize.py")
        library.writestr(zipfile.ZipInfo("sitecustomize.pyc", _NO_TIME), first, zipfile.ZIP_DEFLATED)
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    tree.write(_LIBRARY.parent / f"python{version}.zip", archive.getvalue())
    for extension in sorted((_LIBRARY / _DYNAMIC).glob("*.so")):
        if not _UNUSED_EXTENSIONS.match(extension.name):
            tree.copy(extension)
            yield extension
    licence = _LIBRARY / "LICENSE.txt"
    if licence.is_file():
        tree.write(licence, licence.read_bytes())


def _beside() -> Iterator[tuple[str, Path]]:
    """Libraries that are opened by name, from where the C library lies."""
    known = libraries(Path(sys.executable).resolve())
    folder = next(place for name, place in known.items() if name.startswith("libc.so")).parent
    yield from ((name, folder / name) for name in _BESIDE if (folder / name).is_file())


def copy_libraries(tree: Tree, programs: list[Path], more: Iterable[tuple[str, Path]] = ()) -> list[Path]:
    """What `programs` load and `tree` has not, under the names they ask for; the files these were."""
    needed = dict(more)
    for program in programs:
        if program.is_file():
            needed |= {name: place for name, place in libraries(program).items() if not place.is_relative_to("/opt")}
    copied = []
    for name, place in sorted(needed.items()):
        real = place.resolve()
        if not real.is_relative_to(tree.root):
            tree.copy(real, real.parent / name)
            copied.append(place)
    for place in needed.values():
        if place.name.startswith("ld-"):  # the loader is asked for by its path, which is written into every program
            tree.link(place.parent.resolve() / place.name, str(place.resolve()))
    return copied


def _trust(tree: Tree) -> list[Path]:
    """The certificates of public authorities, where this Python's OpenSSL looks for them; the files that Debian made
    the one bundle of, which itself is no package's."""
    paths = ssl.get_default_verify_paths()
    if not BUNDLE.is_file():
        raise FileNotFoundError(f"{BUNDLE}: the image to build on has no certificates of authorities")
    tree.write(BUNDLE, BUNDLE.read_bytes())
    if paths.openssl_cafile != str(BUNDLE):
        tree.link(paths.openssl_cafile, str(BUNDLE))
    return sorted(_AUTHORITIES.rglob("*.crt"))


def _time_zones(tree: Tree) -> Iterator[Path]:
    """Zones of today's names; the same zone under another name is a link."""
    place = Path("/usr/share/zoneinfo")
    seen: dict[bytes, Path] = {}
    for source in sorted(place.rglob("*")):
        name = source.relative_to(place)
        if name.parts[0] in {"posix", "right"} or not source.is_file():
            continue
        data = source.read_bytes()
        if not data.startswith(b"TZif"):
            continue
        yield source
        if data in seen:
            tree.link(source, f"{'../' * (len(name.parts) - 1)}{seen[data]}")
        else:
            seen[data] = name
            tree.write(source, data)
