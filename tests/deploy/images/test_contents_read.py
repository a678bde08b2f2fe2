"""Whose is what lies in an image, and what the modules in it are asked."""

import io
import json
import subprocess
import sys

import pytest

from scripts.images import bundled
from scripts.images.contents import _Found, owner

SITE = "opt/venv/lib/python3.11/site-packages"


def taken(files: dict[str, bytes]) -> _Found:
    found = _Found()
    for name, data in files.items():
        found.take(name, len(data), io.BytesIO(data))
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{SITE}/pydantic_core/_pydantic_core.so", "pydantic-core"),
        (f"{SITE}/pillow.libs/libtiff-1.so.6.3.0", "pillow"),
        (f"{SITE}/PIL/_webp.so", "pillow"),
        (f"{SITE}/_cffi_backend.cpython-311-x86_64-linux-gnu.so", "cffi"),
        (f"{SITE}/google/_upb/_message.abi3.so", "protobuf"),
        ("usr/lib/x86_64-linux-gnu/libz.so.1", ""),
    ],
)
def test_what_is_compiled_belongs_to_a_distribution_by_its_place(path: str, name: str) -> None:
    assert owner(path) == name


def test_a_distribution_has_its_metadata_licences_own_sboms_and_what_is_compiled() -> None:
    info = f"{SITE}/zlib_ng-1.0.dist-info"
    [found] = taken({
        f"{info}/METADATA": b"Name: zlib_ng\nVersion: 1.0\n", f"{info}/licenses/LICENSE": b"MIT",
        f"{info}/sboms/x.json": b"{}", f"{info}/entry_points.txt": b"", f"{SITE}/zlib_ng/zlib_ng.abi3.so": b"ELF",
    }).distributions()  # fmt: skip

    assert (found.name, found.version) == ("zlib-ng", "1.0")
    assert (dict(found.licences), dict(found.sboms)) == ({"licenses/LICENSE": "MIT"}, {"sboms/x.json": b"{}"})
    assert found.has("zlib_ng.zlib_ng")
    assert not found.has("zlib_ng.other")


def test_a_package_has_its_compiled_files_by_its_sums_and_the_image_its_release() -> None:
    found = taken({
        "var/lib/dpkg/status.d/libz": b"Package: libz\nVersion: 1\n", "usr/share/doc/libz/copyright": b"free",
        "var/lib/dpkg/status.d/libz.md5sums": b"0123  usr/lib/libz.so.1\n", "usr/lib/libz.so.1": b"ELF",
        "usr/lib/other.so": b"ELF", "usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\n',
    })  # fmt: skip
    [package] = found.debian()

    assert (package.headers["Package"], package.copyright) == ("libz", "free")
    assert [file.path for file in package.native] == ["usr/lib/libz.so.1"]
    assert found.release == {"ID": "debian", "VERSION_ID": "12"}


def test_a_text_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match=r"METADATA has 5000000 bytes"):
        _Found().take(f"{SITE}/x-1.dist-info/METADATA", 5_000_000, io.BytesIO())


def test_a_library_names_the_crates_that_its_messages_point_at() -> None:
    source = b"\0/cargo/registry/src/index-19/"
    data = (
        source
        + b"h2-0.4.16/src/a.rs"
        + source
        + b"regex-syntax-0.7.4/b.rs\0/rust/deps/gimli-0.32.3/src/c.rs\0/x-1.0.0/"
    )

    assert bundled.crates(data) == [("gimli", "0.32.3"), ("h2", "0.4.16"), ("regex-syntax", "0.7.4")]


def test_every_question_is_answered_where_its_module_is() -> None:
    """Here, where nothing was left out."""
    said = subprocess.run([sys.executable, "-c", bundled.program()], capture_output=True, text=True, check=True).stdout
    answers = bundled.answers(said)

    asked = {f"{it.within} {it.name}" for it in bundled.BUNDLED if it.version}
    assert answers.keys() == asked | {" ".join(key) for key in bundled.DOUBTED} | {"python"}
    doubted = {" ".join(key) for key in bundled.DOUBTED}
    assert [name for name in asked - doubted if not answers[name][:1].isdigit()] == []


def test_a_module_that_is_not_there_gives_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = (bundled.Bundled("nowhere", "libz", "Zlib", "__import__('no_such_module').version"),)
    monkeypatch.setattr(bundled, "BUNDLED", absent)
    monkeypatch.setattr(bundled, "DOUBTED", {})
    said = subprocess.run([sys.executable, "-c", bundled.program()], capture_output=True, text=True, check=True).stdout

    assert json.loads(said)["nowhere libz"] == ""
    assert bundled.inside("nowhere", bundled.answers(said), []) == [(absent[0], "")]
