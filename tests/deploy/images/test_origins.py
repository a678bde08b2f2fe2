"""What scanners look for: which Debian it is, and which files of a package are here."""

import hashlib
from pathlib import Path

import pytest

from scripts.images.builder import origins
from scripts.images.builder.tree import Tree

RELEASE = 'ID=debian\nVERSION_ID="12"\n'


def test_the_release_is_said_where_scanners_look(tmp_path: Path) -> None:
    base, tree = tmp_path / "base", Tree(tmp_path / "layer")
    for name, text in {"usr/lib/os-release": RELEASE, "etc/debian_version": "12.15\n"}.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)

    sources = origins.release(tree, base)

    assert sources == [Path("/usr/lib/os-release"), Path("/etc/debian_version")]
    assert (tmp_path / "layer/etc/os-release").readlink() == Path("../usr/lib/os-release")
    assert (tmp_path / "layer/etc/os-release").read_text() == RELEASE
    assert (tmp_path / "layer/etc/debian_version").read_text() == "12.15\n"


def test_a_base_that_does_not_say_its_release_is_not_given_one(tmp_path: Path) -> None:
    assert origins.release(Tree(tmp_path / "layer"), tmp_path / "empty") == []
    assert list(Tree(tmp_path / "layer").files()) == []


def test_the_files_of_a_package_have_their_sums_as_they_lie_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "info").mkdir()
    (tmp_path / "info/libz.list").write_text("/.\n/lib\n/lib/libz.so.1\n/lib/libz.so.1.2\n/usr/share/doc/libz\n")
    (tmp_path / "status").write_text("Package: libz\nVersion: 1\n")
    monkeypatch.setattr(origins, "_DPKG", tmp_path)
    tree = Tree(tmp_path / "layer")
    tree.write("/usr/lib/libz.so.1", b"stripped")

    origins.record(tree, [Path("/lib/libz.so.1")])

    sums = (tmp_path / "layer/var/lib/dpkg/status.d/libz.md5sums").read_text()
    assert sums == f"{hashlib.md5(b'stripped').hexdigest()}  usr/lib/libz.so.1\n"


def test_a_layer_that_has_more_of_a_package_keeps_the_sums_of_what_lies_beneath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper layer's file hides the lower one's."""
    (tmp_path / "info").mkdir()
    (tmp_path / "info/libc6.list").write_text("/lib/libc.so.6\n/lib/librt.so.1\n")
    (tmp_path / "status").write_text("Package: libc6\nVersion: 1\n")
    monkeypatch.setattr(origins, "_DPKG", tmp_path)
    lower, upper = Tree(tmp_path / "lower"), Tree(tmp_path / "upper")
    lower.write("/usr/lib/libc.so.6", b"C")
    upper.write("/usr/lib/librt.so.1", b"rt")

    origins.record(upper, [Path("/lib/librt.so.1")], [lower.root])

    sums = (upper.root / "var/lib/dpkg/status.d/libc6.md5sums").read_text()
    assert [line.partition("  ")[2] for line in sums.splitlines()] == ["usr/lib/libc.so.6", "usr/lib/librt.so.1"]
