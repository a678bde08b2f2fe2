"""The parts of an image as CycloneDX' components: what each is called, where it comes from, under which licence, the
hashes that there are, and what is inside."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.component import Component, ComponentType
from packageurl import PackageURL

from scripts.images import bundled, licences, wheel_sboms
from scripts.images.contents import Contents, DebianPackage, Distribution, File

_SOURCE: Final = re.compile(r"(\S+)(?: \((\S+)\))?$")


@dataclass(frozen=True, slots=True)
class Made:
    """A component, and who depends on whom in it."""

    component: Component
    edges: Sequence[tuple[Component, Sequence[Component]]] = field(default_factory=list)


def system(contents: Contents) -> list[Made]:
    """The release of Debian, by which scanners place its packages; nothing where the image does not say it."""
    if "ID" not in contents.release:
        return []
    name, version = contents.release["ID"], contents.release.get("VERSION_ID")
    return [Made(Component(name=name, version=version, type=ComponentType.OPERATING_SYSTEM, bom_ref="os"))]


def python(contents: Contents) -> Made:
    """The interpreter with its standard library; its hash is the program's."""
    version = contents.versions["python"]
    component = Component(
        name="python", version=version, type=ComponentType.PLATFORM, bom_ref="python",
        purl=PackageURL("generic", None, "python", version), licenses=[licences.named("PSF-2.0", None)],
        hashes=[_sha256(contents.interpreter)] if contents.interpreter else [],
    )  # fmt: skip
    inside = _from_table(component, "python", contents)
    component.components.update([*inside, *_files(component, contents.rest)])
    return Made(component, [(component, inside)] if inside else [])


def distribution(found: Distribution, contents: Contents, lock: Mapping[tuple[str, str], Sequence[str]]) -> Made:
    """Raises ValueError where its own SBOM is none."""
    headers = found.headers
    url = PackageURL("pypi", None, found.name, found.version)
    component = Component(
        name=found.name, version=found.version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url),
        licenses=licences.of_distribution(
            headers.get("License-Expression", ""), headers.get("License", ""),
            headers.get_all("Classifier", []), found.licences,
        ),
    )  # fmt: skip
    if hashes := lock.get((found.name, found.version)):
        component.external_references.add(_archive(
            str(url),
            [HashType(alg=HashAlgorithm.SHA_256, content=each) for each in hashes],
            "the archives that the lock allows; one of them was installed",
        ))  # fmt: skip
    parts: dict[str, tuple[Component, Sequence[str]]] = {}
    for name, text in sorted(found.sboms.items()):
        try:
            parts |= wheel_sboms.parts(text, f"{url}!{name}", found.has)
        except ValueError as error:
            raise ValueError(f"{found.name}'s own {name}: {error}") from None
    listed = {ref: part for ref, part in parts.items() if not _doubted(found.name, part[0], contents)}
    inside = [*(part for part, _ in listed.values()), *_from_table(component, found.name, contents)]
    inside += [] if found.sboms else _crates(component, found.native)
    component.components.update([*inside, *_files(component, found.native)])
    edges = [(part, [listed[ref][0] for ref in needed if ref in listed]) for part, needed in listed.values()]
    return Made(component, [(component, inside), *edges] if inside else edges)


def _doubted(within: str, part: Component, contents: Contents) -> bool:
    """Asked, the module said that it is not there."""
    key = (within, part.name)
    return key in bundled.DOUBTED and not contents.versions.get(" ".join(key))


def _from_table(within: Component, name: str, contents: Contents) -> list[Component]:
    names = [str(package.headers["Package"]) for package in contents.debian]
    own = within.bom_ref.value
    return [
        Component(
            name=it.name, version=version or None, type=ComponentType.LIBRARY, bom_ref=f"{own}!{it.name}",
            purl=PackageURL(it.kind, None, it.name, version or None), licenses=[licences.named(it.licence, None)],
        )
        for it, version in bundled.inside(name, contents.versions, names)
    ]  # fmt: skip


def _crates(within: Component, native: Sequence[File]) -> list[Component]:
    urls = sorted({PackageURL("cargo", None, *crate).to_string() for file in native for crate in file.crates})
    return [
        Component(
            name=url.name, version=url.version, type=ComponentType.LIBRARY, purl=url,
            bom_ref=f"{within.bom_ref.value}!{url}",
        )
        for url in map(PackageURL.from_string, urls)
    ]  # fmt: skip


def debian(package: DebianPackage, release: Mapping[str, str]) -> Made:
    """With the release and the source package, by which advisories name what they are of."""
    headers = package.headers
    name, version = headers["Package"], headers["Version"]
    qualifiers = {"arch": headers["Architecture"]}
    if release.get("ID") and release.get("VERSION_ID"):
        qualifiers["distro"] = f"{release['ID']}-{release['VERSION_ID']}"
    if source := _SOURCE.match(headers.get("Source", "")):
        qualifiers["upstream"] = f"{source[1]}@{source[2]}" if source[2] else source[1]
    url = PackageURL("deb", release.get("ID", "debian"), name, version, qualifiers)
    component = Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url),
        licenses=licences.of_debian(name, package.copyright),
    )  # fmt: skip
    component.components.update(_files(component, package.native))
    return Made(component)


def script(record: Mapping[str, str]) -> Made:
    """JavaScript, by its `vendor.json`; the hash is of the author's archive."""
    name, version = record["package"], record["version"]
    url = PackageURL("npm", None, name, version)
    component = Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url),
        licenses=[licences.named(record["license"], None)],
    )  # fmt: skip
    kind, _, digest = record.get("integrity", "").partition("-")
    if kind == "sha512":
        content = base64.b64decode(digest).hex()
        hashes = [HashType(alg=HashAlgorithm.SHA_512, content=content)]
        component.external_references.add(_archive(str(url), hashes, "the archive that the files were taken from"))
    return Made(component)


def _archive(place: str, hashes: Sequence[HashType], comment: str) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(place), hashes=hashes, comment=comment
    )  # fmt: skip


def _files(within: Component, native: Sequence[File]) -> Iterator[Component]:
    for file in native:
        yield Component(
            name=f"/{file.path}", type=ComponentType.FILE, bom_ref=f"{within.bom_ref.value}!/{file.path}",
            hashes=[_sha256(file)],
        )  # fmt: skip


def _sha256(file: File) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=file.sha256)
