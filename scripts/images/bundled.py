"""What others' binaries have inside that no file of theirs says: one table, its versions asked of the modules in the
image, and the crates that a Rust library names in its own messages."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bundled:
    """`name` is linked into, or lies beside, what `within` (a distribution, or `python`) has compiled. `version` is
    Python that says it, evaluated in the image; none where no module knows. `unless`: Debian's package of it, where it
    is loaded from there. `kind` is its package URL's."""

    within: str
    name: str
    licence: str
    version: str = ""
    unless: str = ""
    kind: str = "generic"


_LIBS: Final = (
    "next(__import__('pathlib').Path(__import__('PIL').__path__[0]).parent.glob('pillow.libs/{}-*'))"
    ".name.partition('.so.')[2]"
)
_UV: Final = "__import__('uvloop.loop', fromlist=['loop']).libuv_get_version().to_bytes(3, 'big')"
_ZSTD: Final = "__import__('zstandard').ZSTD_VERSION"
# The wheel's version is the binding's, whose last number may differ; the library says its own where it reports a bug.
_WASMTIME: Final = (
    "(__import__('re').findall(r'version: ([0-9.]+)\\n\\nThis is a bug in Wasmtime',"
    " next(__import__('pathlib').Path(__import__('wasmtime').__path__[0]).glob('linux-*/_libwasmtime.so'))"
    ".read_bytes().decode('latin-1')) or [''])[0]"
)

BUNDLED: Final = (
    Bundled("aiohttp", "llhttp", "MIT"),
    Bundled("brotli", "brotli", "MIT", "__import__('_brotli').__version__"),
    Bundled("cffi", "libffi", "MIT"),
    Bundled("hiredis", "hiredis", "BSD-3-Clause"),
    Bundled("httptools", "http-parser", "MIT"),
    Bundled("httptools", "llhttp", "MIT"),
    Bundled("pillow", "xz", "0BSD", _LIBS.format("liblzma")),
    Bundled("pillow", "zstd", "BSD-3-Clause OR GPL-2.0-only", _LIBS.format("libzstd")),
    Bundled("protobuf", "utf8_range", "MIT"),
    Bundled("python", "expat", "MIT", "__import__('pyexpat').EXPAT_VERSION.partition('_')[2]", "libexpat1"),
    Bundled("python", "mpdecimal", "BSD-2-Clause", "__import__('_decimal').__libmpdec_version__", "libmpdec3"),
    Bundled("python", "openssl", "Apache-2.0", "__import__('ssl').OPENSSL_VERSION.split()[1]", "libssl3"),
    Bundled("python", "sqlite", "blessing", "__import__('sqlite3').sqlite_version", "libsqlite3-0"),
    Bundled("python", "zlib", "Zlib", "__import__('zlib').ZLIB_RUNTIME_VERSION", "zlib1g"),
    Bundled("uvloop", "libuv", "MIT", f"'.'.join(map(str, {_UV}))"),
    Bundled("wasmtime", "wasmtime", "Apache-2.0 WITH LLVM-exception", _WASMTIME, kind="cargo"),
    Bundled("zlib-ng", "zlib-ng", "Zlib", "__import__('zlib_ng.zlib_ng').zlib_ng.ZLIBNG_RUNTIME_VERSION"),
    Bundled("zstandard", "zstd", "BSD-3-Clause OR GPL-2.0-only", f"'.'.join(map(str, {_ZSTD}))"),
)  # fmt: skip

# What a wheel's own SBOM lists as optional, and Python that says whether it is there.
DOUBTED: Final[Mapping[tuple[str, str], str]] = {
    ("pillow", "libimagequant"): "__import__('PIL.features').features.check_feature('libimagequant') or ''",
}

_CRATE: Final = re.compile(
    rb"/(?:registry/src/[^/\0]{1,80}|rust/deps)/([a-z][A-Za-z0-9_-]{0,63}?)-(\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]{1,32})?)/"
)


def program() -> str:
    """Python that prints the versions as JSON: Python's own, and by `within name` what the tables ask for. Empty where
    the module is not in the image; an answer that cannot be got from a module that is there is an error."""
    asked = {f"{it.within} {it.name}": it.version for it in BUNDLED if it.version}
    asked |= {" ".join(key): question for key, question in DOUBTED.items()}
    return f"""
import json, platform
found = {{"python": platform.python_version()}}
for name, question in {asked!r}.items():
    try:
        found[name] = str(eval(question))
    except ModuleNotFoundError:
        found[name] = ""
print(json.dumps(found))
"""


def answers(printed: str) -> Mapping[str, str]:
    """What `program` printed."""
    return {str(name): str(value) for name, value in json.loads(printed).items()}


def inside(within: str, versions: Mapping[str, str], debian: Sequence[str]) -> list[tuple[Bundled, str]]:
    """What is in `within`, with its version or nothing, in an image that has these of Debian's packages."""
    rows = [it for it in BUNDLED if it.within == within and it.unless not in debian]
    return [(it, versions.get(f"{it.within} {it.name}", "")) for it in rows]


def crates(library: bytes) -> list[tuple[str, str]]:
    """Name and version of the crates whose source files the panics in `library` point at, sorted: not all that is in
    it, since what cannot panic leaves no trace."""
    return sorted({(name.decode(), version.decode()) for name, version in _CRATE.findall(library)})
