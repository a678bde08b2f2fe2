"""The SBOM that a wheel brings of itself (`*.dist-info/sboms/*.json`, PEP 770): what is inside, as components of ours.

Written by others, so nothing of it is taken unread: sizes are bounded, each field has its type, and what is no
CycloneDX raises ValueError. Refuses to be cleverer than its author: tools that only build stay where they are listed
as parts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License
from packageurl import PackageURL

from scripts.images import licences

LARGEST: Final = 4_000_000  # bytes; the largest seen has 800 KB
_MOST: Final = 5_000
_LONGEST: Final = 500
_ALGORITHMS: Final = {it.value: it for it in (HashAlgorithm.SHA_256, HashAlgorithm.SHA_384, HashAlgorithm.SHA_512)}

Parts = Mapping[str, tuple[Component, Sequence[str]]]
"""By a reference of ours the component, and the references of what it depends on."""


def parts(text: bytes, wheel: str, is_here: Callable[[str], bool]) -> Parts:
    """Of the wheel with the reference `wheel`; those of its extensions that are not `is_here` (by their module), and
    what only these need, are left out. Raises ValueError."""
    document = _document(text)
    root = document.get("metadata", {}).get("component") or {}
    own = (_word(root, "name").lower(), _word(root, "version"))
    listed = {_word(it, "bom-ref") or f"#{n}": it for n, it in enumerate(_entries(document, "components"))}
    edges = {_word(it, "ref"): _targets(it) for it in _entries(document, "dependencies")}
    left_out = {ref for ref, it in listed.items() if it.get("scope") == "excluded" or not _is_here(ref, is_here)}
    left_out |= {ref for ref, it in listed.items() if (_word(it, "name").lower(), _word(it, "version")) == own}
    top = _word(root, "bom-ref")
    mentioned = {top, *edges, *(each for those in edges.values() for each in those)}
    starts = [top, *(ref for ref in listed if ref not in mentioned)]
    reached = list(_reached(starts, edges, left_out))
    kept = {ref: f"{wheel}#{quote(ref, safe='')}" for ref in reached if ref in listed and ref not in left_out}
    return {
        ours: (_component(ref, ours, listed[ref]), sorted(kept[it] for it in edges.get(ref, []) if it in kept))
        for ref, ours in kept.items()
    }


def _document(text: bytes) -> dict[str, Any]:
    if len(text) > LARGEST:
        raise ValueError(f"{len(text)} bytes, above {LARGEST}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise ValueError("no CycloneDX")
    metadata = document.get("metadata", {})
    fits = isinstance(metadata, dict) and isinstance(metadata.get("component") or {}, dict)
    if not fits:
        raise ValueError("its metadata is no component's")
    return document


def _entries(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list) or len(entries) > _MOST or not all(isinstance(each, dict) for each in entries):
        raise ValueError(f"{key} are no list of at most {_MOST}")
    return entries


def _word(entry: Mapping[str, Any], key: str) -> str:
    word = entry.get(key) or ""
    if not isinstance(word, str) or len(word) > _LONGEST:
        raise ValueError(f"{key} is no short text")
    return word


def _targets(entry: Mapping[str, Any]) -> list[str]:
    targets = entry.get("dependsOn", [])
    if not isinstance(targets, list) or not all(isinstance(each, str) for each in targets):
        raise ValueError("dependsOn is no list of references")
    return targets


def _is_here(ref: str, is_here: Callable[[str], bool]) -> bool:
    _, extension, module = ref.partition("#c-ext/")  # as Pillow names its own
    return not extension or is_here(module)


def _reached(starts: Sequence[str], edges: Mapping[str, Sequence[str]], left_out: set[str]) -> Iterator[str]:
    seen: set[str] = set(left_out) - set(starts[:1])
    waiting = list(starts)
    while waiting:
        ref = waiting.pop()
        if ref not in seen:
            seen.add(ref)
            yield ref
            waiting += edges.get(ref, [])


def _component(ref: str, ours: str, entry: Mapping[str, Any]) -> Component:
    name, version = _word(entry, "name"), _word(entry, "version")
    if not name:
        raise ValueError(f"{ref} has no name")
    return Component(
        name=name,
        version=version or None,
        type=ComponentType.LIBRARY,
        bom_ref=ours,
        purl=_purl(_word(entry, "purl") or (ref if ref.startswith("pkg:generic/") else ""), version),
        scope=ComponentScope.OPTIONAL if entry.get("scope") == "optional" else None,
        licenses=_licences(entry),
        hashes=_hashes(entry),
    )


def _purl(text: str, version: str) -> PackageURL | None:
    """Without a place on the disk of whoever built the wheel."""
    if not text:
        return None
    url = PackageURL.from_string(text)
    qualifiers = {name: value for name, value in url.qualifiers.items() if not value.startswith("file:")}
    return PackageURL(url.type, url.namespace, url.name, url.version or version or None, qualifiers, url.subpath)


def _licences(entry: Mapping[str, Any]) -> list[License]:
    told = []
    for each in _entries(entry, "licenses"):
        licence = each.get("license")
        named = licence if isinstance(licence, dict) else {}
        told.append(_word(each, "expression") or _word(named, "id") or _word(named, "name"))
    found = [licences.named(words) for words in told if words]
    return found[:1] if any(it.get("expression") for it in _entries(entry, "licenses")) else found


def _hashes(entry: Mapping[str, Any]) -> list[HashType]:
    return [
        HashType(alg=_ALGORITHMS[each["alg"]], content=_word(each, "content"))
        for each in _entries(entry, "hashes")
        if _word(each, "alg") in _ALGORITHMS
    ]
