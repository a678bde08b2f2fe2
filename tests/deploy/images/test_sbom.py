"""What `make sbom` writes of what it found in an image."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from scripts.images import sbom
from scripts.images.contents import Contents, DebianPackage, Distribution, File
from scripts.images.sbom import document, locked

IDENTITY = "sha256:" + "12" * 32
SITE = "opt/venv/lib/python3.11/site-packages"
LABELS = {"org.opencontainers.image.version": "0.1.0", "org.opencontainers.image.revision": "abc", "other": "x"}
WHEELS_OWN = json.dumps({
    "bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"component": {"bom-ref": "top", "name": "two"}},
    "components": [{"bom-ref": "a", "name": "serde", "version": "1.0", "purl": "pkg:cargo/serde@1.0",
                    "licenses": [{"expression": "MIT OR Apache-2.0"}]},
                   {"bom-ref": "b", "name": "itoa", "version": "1.1", "purl": "pkg:cargo/itoa@1.1"}],
    "dependencies": [{"ref": "top", "dependsOn": ["a"]}, {"ref": "a", "dependsOn": ["b"]}],
}).encode()  # fmt: skip
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ or Expat

Files: x
License: GPL-2+ with Odd exception
"""
INTEGRITY = f"sha512-{base64.b64encode(bytes(64)).decode()}"
FOUND = Contents(
    identity=IDENTITY,
    distributions=[
        Distribution("Name: Zlib_NG\nVersion: 1.1.0\nLicense: PSF-2.0\n",
                     native=[File(f"{SITE}/zlib_ng/zlib_ng.so", "ab" * 32)]),
        Distribution("Name: two\nVersion: 2\nLicense-Expression: MIT OR Apache-2.0\n",
                     sboms={"sboms/x.json": WHEELS_OWN}),
        Distribution("Name: rusty\nVersion: 3\n", native=[File(f"{SITE}/rusty.so", "cd" * 32, (("h2", "0.4.16"),))]),
    ],
    debian=[
        DebianPackage("Package: libc6\nVersion: 2.36-9+deb12u13\nArchitecture: amd64\nSource: glibc\n",
                      native=[File("usr/lib/libc.so.6", "ef" * 32)]),
        DebianPackage("Package: libgcc-s1\nVersion: 12.2\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\n",
                      COPYRIGHT),
        DebianPackage("Package: libexpat1\nVersion: 2.5\nArchitecture: amd64\n", "All of it is free."),
    ],
    versions={"python": "3.11.2", "zlib-ng zlib-ng": "2.3.3", "python expat": "2.5.0", "python mpdecimal": "2.5.1"},
    scripts=[{"package": "uplot", "version": "1.6.32", "license": "MIT", "integrity": INTEGRITY}],
    labels=LABELS,
    release={"ID": "debian", "VERSION_ID": "12"},
    rest=[File("usr/local/bin/python3.11", "01" * 32)],
)  # fmt: skip
LOCK = {("zlib-ng", "1.1.0"): ["0" * 64, "1" * 64], ("two", "1"): ["2" * 64]}


def written(contents: Contents = FOUND) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document("order", contents, LOCK))
    return found


def named(name: str, contents: Contents = FOUND) -> dict[str, Any]:
    return next(each for each in written(contents)["components"] if each["name"] == name)


def test_each_part_has_its_package_url() -> None:
    assert {each.get("purl", each["name"]) for each in written()["components"]} == {
        "debian", "pkg:generic/python@3.11.2", "pkg:pypi/two@2", "pkg:pypi/rusty@3", "pkg:pypi/zlib-ng@1.1.0",
        "pkg:npm/uplot@1.6.32", "pkg:deb/debian/libexpat1@2.5?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:deb/debian/libgcc-s1@12.2?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
    }  # fmt: skip


def test_an_image_that_does_not_say_its_release_is_given_none() -> None:
    silent = replace(FOUND, release={})

    assert named("libexpat1", silent)["purl"] == "pkg:deb/debian/libexpat1@2.5?arch=amd64"
    assert "operating-system" not in {each["type"] for each in written(silent)["components"]}


def test_it_names_its_image_and_is_the_same_twice() -> None:
    image = written()["metadata"]["component"]

    assert written()["specVersion"] == "1.6"
    assert (image["type"], image["name"], image["version"]) == ("container", "cortex-hub/order", "0.1.0")
    assert image["hashes"] == [{"alg": "SHA-256", "content": "12" * 32}]
    assert {each["name"]: each["value"] for each in image["properties"]} == {
        "cortex-hub:image:id": IDENTITY, **{name: LABELS[name] for name in LABELS if name != "other"},
    }  # fmt: skip
    assert document("order", FOUND, LOCK) == document("order", FOUND, LOCK)


def test_an_image_of_a_registry_has_its_digest_in_its_url() -> None:
    pushed = replace(FOUND, digests=["registry.example/order@sha256:77"])

    assert written(pushed)["metadata"]["component"]["purl"] == "pkg:oci/order@sha256:77"


def test_what_a_wheel_says_of_itself_is_inside_it() -> None:
    inside = named("two")["components"]

    assert [(each["name"], each["purl"]) for each in inside] == [
        ("itoa", "pkg:cargo/itoa@1.1"), ("serde", "pkg:cargo/serde@1.0"),
    ]  # fmt: skip
    edges = {each["ref"]: each.get("dependsOn", []) for each in written()["dependencies"]}
    itoa, serde = (each["bom-ref"] for each in inside)
    assert sorted(edges["pkg:pypi/two@2"]) == sorted([itoa, serde])
    assert edges[serde] == [itoa]


def test_what_no_file_says_is_in_the_table_with_the_version_that_the_module_gave() -> None:
    bundled = [each.get("purl") for each in named("zlib-ng")["components"] if each["type"] == "library"]

    assert bundled == ["pkg:generic/zlib-ng@2.3.3"]
    assert [each["purl"] for each in named("rusty")["components"] if each["type"] == "library"] == [
        "pkg:cargo/h2@0.4.16"
    ]


def test_what_debian_has_is_not_said_of_python_too() -> None:
    inside = {each["name"] for each in named("python")["components"]}

    assert "mpdecimal" in inside
    assert "expat" not in inside


def test_a_compiled_file_has_its_hash_as_it_lies_in_the_image() -> None:
    files = {
        part["name"]: part["hashes"] for each in written()["components"] for part in each.get("components", [])
        if part["type"] == "file"
    }  # fmt: skip

    assert files == {
        f"/{path}": [{"alg": "SHA-256", "content": content}] for path, content in (
            (f"{SITE}/rusty.so", "cd" * 32), (f"{SITE}/zlib_ng/zlib_ng.so", "ab" * 32),
            ("usr/lib/libc.so.6", "ef" * 32), ("usr/local/bin/python3.11", "01" * 32))
    }  # fmt: skip
    assert named("python")["hashes"] == [{"alg": "SHA-256", "content": "01" * 32}]


def test_an_archive_has_the_hashes_of_the_lock_if_that_is_of_its_version() -> None:
    reference = named("zlib-ng")["externalReferences"][0]

    assert reference["type"] == "distribution"
    assert [each["content"] for each in reference["hashes"]] == ["0" * 64, "1" * 64]
    assert "externalReferences" not in named("two")
    assert named("uplot")["externalReferences"][0]["hashes"] == [{"alg": "SHA-512", "content": "00" * 64}]


def test_a_lock_is_read_with_its_markers_and_extras() -> None:
    text = f"one[extra]==1.0 ; python_version > '3' \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'a' * 64}\n"

    assert locked(f"{text}    # via two\nTwo.x==2 \\\n    --hash=sha256:{'c' * 64}\n") == {
        ("one", "1.0"): ["a" * 64, "b" * 64], ("two-x", "2"): ["c" * 64],
    }  # fmt: skip


def test_what_is_no_cyclonedx_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sbom, "JsonV1Dot6", lambda bom: type("Wrong", (), {"output_as_string": lambda self, indent: "{}"})()
    )

    with pytest.raises(ValueError, match=r"order: not CycloneDX 1\.6: 'bomFormat' is a required property$"):
        document("order", FOUND, LOCK)


def test_a_wheel_whose_own_is_none_ends_it() -> None:
    wrong = replace(FOUND, distributions=[Distribution("Name: bad\nVersion: 1\n", sboms={"sboms/x.json": b"{}"})])

    with pytest.raises(ValueError, match=r"bad's own sboms/x\.json: no CycloneDX"):
        document("order", wrong, LOCK)
