"""The SBOM of a wheel, which others wrote: its parts, and what is refused."""

import json
from typing import Any

import pytest

from scripts.images.wheel_sboms import LARGEST, Parts, parts

OWN: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.5"}


def read(entries: list[dict[str, Any]], depends: dict[str, list[str]] | None = None, **more: Any) -> Parts:
    edges = [{"ref": ref, "dependsOn": those} for ref, those in (depends or {}).items()]
    text = json.dumps(OWN | {"components": entries, "dependencies": edges} | more)
    return parts(text.encode(), "wheel", lambda module: module == "PIL._imaging")


def names(found: Parts) -> list[str]:
    return sorted(part.name for part, _ in found.values())


def test_a_part_keeps_what_its_author_says_of_it() -> None:
    entry = {
        "bom-ref": "a", "name": "zlib", "version": "1.3", "purl": "pkg:cargo/zlib@1.3?download_url=file://x",
        "scope": "optional", "hashes": [{"alg": "SHA-256", "content": "00" * 32}, {"alg": "MD5", "content": "1"}],
        "licenses": [{"license": {"id": "Zlib"}}, {"license": {"name": "Odd"}}],
    }  # fmt: skip
    [(ref, (part, _))] = read([entry]).items()

    assert ref == part.bom_ref.value == "wheel#a"
    assert (part.name, part.version, str(part.purl)) == ("zlib", "1.3", "pkg:cargo/zlib@1.3")
    assert part.scope is not None
    assert part.scope.value == "optional"
    assert [each.content for each in part.hashes] == ["00" * 32]
    assert len(part.licenses) == 2


def test_a_part_without_a_url_has_that_of_its_reference() -> None:
    [(part, _)] = read([{"bom-ref": "pkg:generic/libtiff", "name": "libtiff", "version": "4.7"}]).values()

    assert str(part.purl) == "pkg:generic/libtiff@4.7"


def test_the_wheel_itself_is_no_part_of_itself() -> None:
    root = {"bom-ref": "top", "name": "Pillow", "version": "1"}
    again = {"bom-ref": "again", "name": "pillow", "version": "1"}

    found = read([root, again, {"bom-ref": "a", "name": "a"}], {"top": ["a", "again"]}, metadata={"component": root})

    assert names(found) == ["a"]


def test_what_only_an_extension_needs_that_was_left_out_is_left_out() -> None:
    entries = [{"bom-ref": ref, "name": name} for ref, name in (
        ("pillow#c-ext/PIL._imaging", "imaging"), ("pillow#c-ext/PIL._avif", "avif"),
        ("x", "libavif"), ("y", "zlib"), ("z", "unmentioned"))]  # fmt: skip
    depends = {
        "top": ["pillow#c-ext/PIL._imaging", "pillow#c-ext/PIL._avif"],
        "pillow#c-ext/PIL._imaging": ["y"], "pillow#c-ext/PIL._avif": ["x", "y"],
    }  # fmt: skip

    found = read(entries, depends, metadata={"component": {"bom-ref": "top", "name": "pillow"}})

    assert names(found) == ["imaging", "unmentioned", "zlib"]


def test_what_is_said_not_to_be_delivered_is_no_part() -> None:
    assert names(read([{"name": "pybind11", "scope": "excluded"}, {"name": "kept"}])) == ["kept"]


def test_a_circle_has_an_end() -> None:
    entries = [{"bom-ref": "a", "name": "a"}, {"bom-ref": "b", "name": "b"}, {"name": "c"}]
    found = read(entries, {"a": ["b"], "b": ["a"], "top": ["a"]}, metadata={"component": {"bom-ref": "top"}})

    assert names(found) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no CycloneDX"),
        (b'{"bomFormat": "other"}', "no CycloneDX"),
        (b" " * (LARGEST + 1), "above"),
        (json.dumps(OWN | {"metadata": []}).encode(), "metadata"),
        (json.dumps(OWN | {"metadata": {"component": {"name": 5}}}).encode(), "name is no short text"),
        (json.dumps(OWN | {"components": {}}).encode(), "components are no list"),
        (json.dumps(OWN | {"components": [1]}).encode(), "components are no list"),
        (json.dumps(OWN | {"components": [{"name": "x"}] * 5_001}).encode(), "components are no list"),
        (json.dumps(OWN | {"components": [{"version": "1"}]}).encode(), "has no name"),
        (json.dumps(OWN | {"components": [{"name": "x" * 501}]}).encode(), "name is no short text"),
        (json.dumps(OWN | {"components": [{"name": "x", "purl": "nonsense"}]}).encode(), "purl"),
        (json.dumps(OWN | {"components": [{"name": "x", "hashes": [{"alg": 5}]}]}).encode(), "alg is no short text"),
        (json.dumps(OWN | {"dependencies": [{"ref": "a", "dependsOn": 5}]}).encode(), "dependsOn is no list"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parts(text, "wheel", bool)
