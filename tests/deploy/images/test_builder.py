"""What the builder makes of files: less of them, and the same at every build."""

import importlib.machinery
import importlib.util
import json
import marshal
import stat
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from scripts.images.builder import origins, vendored
from scripts.images.builder.code import NotCompiled, cached_name, compiled
from scripts.images.builder.elf import is_elf, libraries, stripped
from scripts.images.builder.packages import dependencies, own
from scripts.images.builder.tree import MOMENT, Tree

ROOT = Path(__file__).parents[3]
SITE = Path(sysconfig.get_path("purelib"))
EXTENSION = next(SITE.glob("_brotli*.so"))


def test_a_stripped_library_works_and_is_smaller(tmp_path: Path) -> None:
    slim = stripped(EXTENSION.read_bytes())
    (tmp_path / EXTENSION.name).write_bytes(slim)
    said = subprocess.run(
        [sys.executable, "-c", "import _brotli; print(_brotli.__file__, _brotli.Compressor().process(b'x'))"],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert said.stdout.startswith(str(tmp_path))
    assert len(slim) < EXTENSION.stat().st_size
    assert stripped(slim) == slim


def test_a_stripped_library_has_sections_for_scanners() -> None:
    slim = stripped(EXTENSION.read_bytes())
    section_at = struct.unpack_from("<Q", slim, 40)[0]
    size, count, names = struct.unpack_from("<HHH", slim, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", slim, section_at + n * size) for n in range(count)]
    table = slim[headers[names][4] :][: headers[names][5]]
    found = {table[each[0] :].split(b"\0")[0] for each in headers}

    assert {b".text", b".dynsym", b".dynstr", b".shstrtab"} <= found
    assert not {b".symtab", b".strtab", b".comment"} & found
    assert section_at + size * count == len(slim)


def test_a_hole_is_closed_and_no_address_moves(tmp_path: Path) -> None:
    """Pillow's libraries have holes of 2 MB, left by the tool that appends to them."""
    library = next(SITE.glob("pillow.libs/libXau*"))
    slim = stripped(library.read_bytes())
    (tmp_path / library.name).write_bytes(slim)

    import ctypes

    assert len(slim) < 100_000 < library.stat().st_size
    assert ctypes.CDLL(str(tmp_path / library.name))["XauFileName"] is not None
    assert [each[1:] for each in _loaded(slim)] == [each[1:] for each in _loaded(library.read_bytes())]
    assert all((offset - address) % 4096 == 0 for offset, address, _ in _loaded(slim))


def _loaded(data: bytes) -> list[tuple[int, int, int]]:
    at, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<IIQQQQQQ", data, at + n * 56) for n in range(count)]
    return [(each[2], each[3], each[5]) for each in headers if each[0] == 1]


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\x7fELF\x01\x01 of 32 bits", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + bytes(58)]
)
def test_what_is_no_such_library_stays_as_it_is(data: bytes) -> None:
    assert stripped(data) == data


def test_a_library_names_what_it_loads(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library")

    assert any(name.startswith("libc.so") and place.is_file() for name, place in libraries(EXTENSION).items())
    assert is_elf(EXTENSION)
    assert not is_elf(tmp_path / "text")


def _module(data: bytes) -> dict[str, object]:
    scope: dict[str, object] = {"__name__": "it"}
    exec(marshal.loads(data[16:]), scope)
    return scope


SOURCE = b'''"""Module."""
from __future__ import annotations
class Thing:
    """Only words."""
def told(x: Unknown) -> None:
    """What it does."""
    assert x, "asserted"
    return __doc__
'''


def test_docstrings_go_where_nobody_reads_them_and_assertions_stay() -> None:
    full, bare = _module(compiled(SOURCE, "it.py")), _module(compiled(SOURCE, "it.py", documented=False))

    assert (full["__doc__"], full["told"].__doc__) == ("Module.", "What it does.")
    assert (bare.get("__doc__"), bare["told"].__doc__, bare["Thing"].__doc__) == (None, None, None)
    with pytest.raises(AssertionError, match="asserted") as failed:
        bare["told"](0)  # type: ignore[operator]
    assert failed.traceback[-1].frame.code.raw.co_filename == "it.py"
    assert failed.traceback[-1].lineno == 6


def test_compiled_code_is_believed_whatever_the_time_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "alone.pyc"
    path.write_bytes(compiled(b"answer = 42", "alone.py"))
    loader = importlib.machinery.SourcelessFileLoader("alone", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("alone", loader))  # type: ignore[arg-type]
    loader.exec_module(module)

    assert module.answer == 42
    assert struct.unpack_from("<I", path.read_bytes(), 4)[0] == 0b01  # PEP 552: by hash, unchecked


def test_what_is_no_python_says_which_file() -> None:
    with pytest.raises(NotCompiled, match=r"odd\.py"):
        compiled(b"def", "odd.py")


def test_a_tree_is_the_same_twice(tmp_path: Path) -> None:
    def written(name: str) -> list[tuple[str, float, int]]:
        tree = Tree(tmp_path / name)
        tree.write("/etc/one", b"1")
        tree.link("/etc/two", "one")
        tree.folder("/tmp", 0o1777)
        tree.settle()
        return [(path.name, path.lstat().st_mtime, path.lstat().st_mode) for path in sorted(tree.root.rglob("*"))]

    first = written("a")
    assert first == written("b")
    assert {time for _, time, _ in first} == {MOMENT}
    assert stat.S_IMODE((tmp_path / "a/tmp").stat().st_mode) == 0o1777


def test_a_file_is_not_written_twice_differently(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("/it", b"1")
    tree.write("/it", b"1")

    with pytest.raises(ValueError, match="/it would be written twice"):
        tree.write("/it", b"2")


@pytest.fixture
def environment(tmp_path: Path, site: Path) -> Path:
    """A virtual environment with one package of others, and one of ours."""
    place = tmp_path / "venv"
    files = {
        "theirs/__init__.py": '"""Theirs."""\n', "theirs/data.json": "{}", "theirs/hints.pyi": "",
        "theirs/tests/test_it.py": "",
        "theirs/__pycache__/old.pyc": "", "theirs/fast.pyx": "", "theirs-1.dist-info/METADATA": "Name: theirs\n\nWords",
        "theirs-1.dist-info/RECORD": "", "theirs-1.dist-info/licenses/LICENSE": "free",
        "theirs-1.dist-info/entry_points.txt": "", "cortex_own/__init__.py": "own = 1\n", "cortex_own/page.html": "<p>",
        "cortex_core/testing/__init__.py": "", "cortex_own-1.dist-info/METADATA": "Name: cortex-own",
    }  # fmt: skip
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    return place


def _names(root: Path) -> set[str]:
    return {str(path).partition("site-packages/")[2] or path.name for path in Tree(root).files()}


def test_dependencies_are_what_runs(environment: Path, tmp_path: Path) -> None:
    dependencies(environment, tmp_path / "layer", [])

    (headers,) = (tmp_path / "layer").rglob("METADATA")
    assert headers.read_text() == "Name: theirs\n"
    assert (tmp_path / "layer" / str(environment)[1:] / "layers/layer.txt").read_text() == "theirs-1\n"
    assert _names(tmp_path / "layer") == {
        "layer.txt",
        "python", "pyvenv.cfg", "theirs/__init__.pyc", "theirs/data.json", "theirs-1.dist-info/METADATA",
        "theirs-1.dist-info/entry_points.txt", "theirs-1.dist-info/licenses/LICENSE",
    }  # fmt: skip


def test_a_layer_has_nothing_that_lies_beneath_it(environment: Path, tmp_path: Path) -> None:
    dependencies(environment, tmp_path / "base", [])
    more = next(environment.rglob("theirs")) / "more.py"
    more.write_text("more = 1")

    dependencies(environment, tmp_path / "layer", [tmp_path / "base"])

    assert _names(tmp_path / "layer") == {"theirs/more.pyc", "layer.txt"}


def test_a_layer_that_adds_nothing_is_not_empty(environment: Path, tmp_path: Path) -> None:
    """Docker's classic builder cannot export an image where a COPY without any file is followed by another."""
    dependencies(environment, tmp_path / "base", [])

    dependencies(environment, tmp_path / "layer", [tmp_path / "base"])

    assert _names(tmp_path / "layer") == {"layer.txt"}


def test_ours_have_their_sources(environment: Path, tmp_path: Path) -> None:
    own(environment, tmp_path / "layer", b"MIT License")
    cached = cached_name(Path("cortex_own/__init__.py")).as_posix()

    assert _names(tmp_path / "layer") == {
        "cortex_own/__init__.py",
        cached,
        "cortex_own/page.html",
        "cortex_own-1.dist-info/METADATA",
        "cortex_own-1.dist-info/licenses/LICENSE",
    }


@pytest.mark.parametrize("number", [15, 2])
def test_process_1_ends_at_a_signal_before_anything_else_listens(number: int) -> None:
    """As a process that takes itself for the first; in a container the images' own tests do it."""
    first = Path(__file__).parents[3] / "scripts/images/builder/first_process.py"
    program = f"""
import os, runpy, signal
os.getpid = lambda: 1
runpy.run_path({str(first)!r})
signal.raise_signal({number})
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)

    assert (done.returncode, done.stderr) == (128 + number, b"")


def test_a_package_is_entered_with_its_licence_even_where_it_lies_in_anothers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's libstdc++6 has a link to gcc-12-base for its documents."""
    files = {
        "info/libstdc++6:amd64.list": "/.\n/usr/lib/libstdc++.so.6\n", "info/other.list": "/usr/bin/other\n",
        "info/silent.list": "/lib/silent\n",
        "status": "Package: libstdc++6\nVersion: 12\n\nPackage: silent\nVersion: 1\n\nPackage: other\nVersion: 2\n",
        "doc/gcc-12-base/copyright": "see /usr/share/common-licenses/GPL-3.", "common/GPL-3": "the GPL",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "doc/libstdc++6").symlink_to("gcc-12-base")
    for name, place in {"_DPKG": "", "_DOCUMENTS": "doc", "_LICENCES": "common"}.items():
        monkeypatch.setattr(origins, name, tmp_path / place)

    entered = origins.record(Tree(tmp_path / "layer"), [Path("/lib/libstdc++.so.6"), Path("/usr/lib/silent")])

    assert entered == ["libstdc++6", "silent"]
    assert {path.as_posix() for path in Tree(tmp_path / "layer").files()} == {
        "var/lib/dpkg/status.d/libstdc++6", "var/lib/dpkg/status.d/silent",
        "usr/share/doc/libstdc++6/copyright", "usr/share/common-licenses/GPL-3",
    }  # fmt: skip


def test_a_bundle_gets_its_record_and_its_licence(tmp_path: Path) -> None:
    bundle = SITE / vendored.BUNDLE

    vendored.describe(Tree(tmp_path), [bundle, bundle.with_name("swagger-ui.css")])

    there = tmp_path / str(bundle.parent)[1:]
    record = json.loads((there / "vendor.json").read_text())
    assert record == {"package": "swagger-ui-dist", "version": "5.32.6", "license": "Apache-2.0"}, "new notices?"
    assert (there / "swagger-ui.LICENSE").read_text().startswith("swagger-ui\nCopyright 2020-2021 SmartBear")


def test_a_bundle_without_a_version_ends_the_build(tmp_path: Path) -> None:
    bundle = tmp_path / vendored.BUNDLE
    bundle.parent.mkdir(parents=True)
    bundle.write_text("x")

    with pytest.raises(ValueError, match=r"swagger-ui-bundle\.js does not name its version"):
        vendored.describe(Tree(tmp_path / "layer"), [bundle])
