"""A service's packages as layers: what runs, without what installs, tests, types, compiles or documents it."""

import importlib.util
import re
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from scripts.images.builder import late, origins, vendored
from scripts.images.builder.code import cached_name, compiled
from scripts.images.builder.elf import is_elf, libraries
from scripts.images.builder.interpreter import BUNDLE, copy_libraries
from scripts.images.builder.tree import Tree

_LEFT_OUT: Final = re.compile(
    r"""(.*/)?(__pycache__|tests?)/
      |.*\.(pyi|pyx|pxd|pxi|c|h|cc|cpp|hpp|in|map|exe|a|pth|virtualenv|proto)$
      |[^/]*\.dist-info/(RECORD|INSTALLER|REQUESTED|WHEEL|direct_url\.json|top_level\.txt|uv_[a-z]+\.json)$
      |_virtualenv\.py$
      |(sqlalchemy|alembic|cortex_core)/testing/|alembic/templates/
      |cffi/|pycparser(-[^/]*\.dist-info)?/               # _cffi_backend, which is cffi's, runs what they compiled
      |zstandard/_cffi\.|fastapi_offline/static/redoc     # the other back end; a page we do not serve
      |(google/(api|cloud|gapic|logging|longrunning|rpc|type)|googleapis_common_protos-[^/]*\.dist-info)/  # for gRPC
      |google/protobuf/((compiler|testdata|util)/|(descriptor_pb2|json_format|service_reflection)\.py$)
      |opentelemetry/(sdk/(_logs|_configuration|metrics)|proto/(collector/)?(logs|metrics|profiles)|semconv/trace)/
      |opentelemetry/semconv/_incubating/(attributes|metrics)/(?!__init__|otel_)
      |opentelemetry/exporter/otlp/proto/(http/(metric|_log)_exporter|common/_internal/(metrics|_log)_encoder)/
      |pydantic/v1/                                        # FastAPI asks of each type whether it is one of these
      |charset_normalizer/(cli/|(cd|md)\.cpython)         # its Python is there, for the text of a refusal
      |urllib3/contrib/(emscripten/|pyopenssl\.py$)
      |PIL/_(avif|imagingft|imagingcms|imagingmorph|imagingmath|imagingtk)\.     # not an image that compute takes
      |PIL/(?!(Bmp|Gif|Jpeg|Mpo|Png|Ppm|Tiff|WebP)I)\w+ImagePlugin\.py$  # but what Pillow asks for by itself
      |PIL/((Bdf|Pcf)?FontFile|Image(Cms|Draw2?|Font|Grab|Math|Morph|Qt|Show|Text|Tk|Win)|PSDraw|PdfParser)\.py$""",
    re.VERBOSE,
)
_AUTHORITIES: Final = "certifi/cacert.pem"
_READS_ITS_DOCSTRINGS: Final = re.compile(r"sqlalchemy/(.+/)?events\.py$")  # it writes into them as it is imported
_OURS: Final = re.compile(r"cortex_[a-z]+(-[^/]*\.dist-info)?/")


def dependencies(environment: Path, root: Path, beneath: Sequence[Path]) -> list[str]:
    """Writes what others wrote of `environment`, a virtual environment, below `root`, without what the layers `beneath`
    have already; the Debian packages that libraries came from. Raises OtherShape."""
    tree = Tree(root)
    binary = environment / "bin" / "python"
    tree.link(binary, str(binary.resolve()))
    tree.write(environment / "pyvenv.cfg", f"home = {binary.resolve().parent}\n".encode())
    site, chosen = _site(environment), files(environment, lambda name: not _OURS.match(name))
    for path in chosen:
        if path.suffix == ".py":
            target = path.with_suffix(".pyc")
            source = late.made_late(path.relative_to(site).as_posix(), path.read_bytes())
            documented = _READS_ITS_DOCSTRINGS.search(str(path)) is not None
            known = _beneath(target, source, beneath)
            tree.write(target, known or compiled(source, str(path), documented=documented))
        elif path.as_posix().endswith(_AUTHORITIES):
            tree.link(path, str(BUNDLE))  # the system's are there already, and one list of them is enough
        elif path.name == "METADATA" and path.parent.suffix == ".dist-info":
            tree.write(path, path.read_bytes().partition(b"\n\n")[0] + b"\n")  # what follows is a README
        else:
            tree.copy(path)
    vendored.describe(tree, chosen)
    chosen = _drop_unneeded(tree, chosen)
    copied = copy_libraries(tree, [path for path in chosen if _is_library(path)])
    for layer in beneath:
        tree.without(layer)
    names = {path.name for path in tree.files()}
    held = sorted({part for path in tree.files() for part in path.parts if part.endswith(".dist-info")})
    listed = "".join(f"{name.removesuffix('.dist-info')}\n" for name in held)
    tree.write(environment / "layers" / f"{root.name}.txt", listed.encode())  # the classic builder drops what is empty
    packages = origins.record(tree, [library for library in copied if library.name in names], beneath)
    tree.settle()
    return packages


def own(environment: Path, root: Path, licence: bytes) -> None:
    """Writes the hub's own packages of `environment` below `root`: compiled, their sources, and `licence` in each."""
    tree = Tree(root)
    for path in files(environment, lambda name: _OURS.match(name) is not None):
        tree.copy(path)
        if path.suffix == ".py":
            tree.write(cached_name(path), compiled(path.read_bytes(), str(path)))
        if path.name == "METADATA" and path.parent.suffix == ".dist-info":
            tree.write(path.parent / "licenses" / "LICENSE", licence)
    tree.settle()


def files(environment: Path, wanted: Callable[[str], bool]) -> list[Path]:
    site = _site(environment)
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    return [site / name for name in names if wanted(name) and not _LEFT_OUT.match(name)]


def _site(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))


def _drop_unneeded(tree: Tree, chosen: list[Path]) -> list[Path]:
    """Without those libraries that a wheel brings beside itself (`pillow.libs/`) for an extension which was left
    out."""
    brought = {path for path in chosen if path.parent.name.endswith(".libs")}
    needed = {place for path in chosen if path not in brought and _is_library(path) for place in _loaded(path)}
    for path in brought - needed:
        tree.at(path).unlink()
    return [path for path in chosen if path not in brought - needed]


def _loaded(path: Path) -> list[Path]:
    return [place.resolve() for place in libraries(path).values()]


def _is_library(path: Path) -> bool:
    return ".so" in path.name and is_elf(path)


def _beneath(target: Path, source: bytes, beneath: Sequence[Path]) -> bytes | None:
    """What a layer beneath has compiled already: bytes 8 to 16 are the source's hash (PEP 552)."""
    for layer in beneath:
        there = layer / str(target).lstrip("/")
        if there.is_file() and there.read_bytes()[8:16] == importlib.util.source_hash(source):
            return there.read_bytes()
    return None
