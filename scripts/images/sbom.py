"""`python -m scripts.images.sbom [SERVICE…]`: what is in each image, as CycloneDX 1.6 in dist/sbom/SERVICE.cdx.json.

Read from the image itself (`contents.py`): distributions by their metadata, and in each what its own SBOM or our table
has inside (`components.py`); Debian's packages by the entries that the builder left; JavaScript by the `vendor.json`
beside it. Of the tree only the lock is read, for the hashes of archives. Each document is validated against CycloneDX'
schema before it is written. The same image and lock give the same document: its serial number is made from the image's
id, and there is no time in it."""

import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL

from scripts.images import components
from scripts.images.build import ROOT, reference, services
from scripts.images.contents import Contents, normal, read

_NAMESPACE: Final = uuid.UUID("6c9c1c7e-5a0a-4d57-9a38-6d2c9f8a0f11")  # ours, for serial numbers
_LABEL: Final = "org.opencontainers.image."
_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)((?:[^\n]*\\\n)+[^\n]*)", re.MULTILINE)

Locked = Mapping[tuple[str, str], Sequence[str]]
"""By name and version the SHA-256 of each archive that a lock allows."""


def document(service: str, contents: Contents, lock: Locked) -> str:
    """The document. Raises ValueError where it is none by CycloneDX' schema, or a wheel's own is none."""
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, contents.identity))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the field is optional; the library's type says otherwise
    bom.metadata.component = image = _image(service, contents)
    system = components.system(contents)
    debian = [components.debian(each, contents.release) for each in contents.debian]
    distributions = [components.distribution(each, contents, lock) for each in contents.distributions]
    scripts = [components.script(each) for each in contents.scripts]
    made = [*system, components.python(contents), *distributions, *scripts]
    bom.components.update(it.component for it in [*made, *debian])
    bom.register_dependency(image, [it.component for it in ([*made] if system else [*made, *debian])])
    for each in system:
        bom.register_dependency(each.component, [it.component for it in debian])
    for made_of in [*made, *debian]:
        for component, needed in made_of.edges:
            bom.register_dependency(component, needed)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    from cyclonedx.validation.json import JsonStrictValidator  # late: it compiles grammars, for a second

    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(f"{service}: not CycloneDX 1.6: {str(wrong).splitlines()[0]}")
    return text + "\n"


def _image(service: str, contents: Contents) -> Component:
    """By its id, which is the hash of its configuration; by its digest where a registry has given it one."""
    labels = {name: value for name, value in contents.labels.items() if name.startswith(_LABEL)}
    version = labels.get(f"{_LABEL}version")
    digest = next((each.partition("@")[2] for each in sorted(contents.digests) if "@sha256:" in each), "")
    algorithm, _, identity = contents.identity.partition(":")
    image = Component(
        name=f"cortex-hub/{service}", version=version, type=ComponentType.CONTAINER, bom_ref=service,
        purl=PackageURL("oci", None, service, digest) if digest else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=identity)] if algorithm == "sha256" else [],
        properties=[Property(name="cortex-hub:image:id", value=contents.identity),
                    *(Property(name=name, value=value) for name, value in sorted(labels.items()))],
    )  # fmt: skip
    if source := labels.get(f"{_LABEL}source"):
        image.external_references.add(ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(source)))
    return image


def locked(text: str) -> Locked:
    """What a lock allows."""
    return {
        (normal(name), version): sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest))
        for name, version, rest in _LOCKED.findall(text)
    }


def main(wanted: Sequence[str]) -> int:
    place = ROOT / "dist" / "sbom"
    place.mkdir(parents=True, exist_ok=True)
    for service in wanted or services():
        try:
            contents = read(reference(service))
        except (LookupError, FileNotFoundError) as error:
            print(f"sbom: {service}: {error}; `make images` builds it", file=sys.stderr)
            return 69
        path: Path = place / f"{service}.cdx.json"
        lock = locked((ROOT / "requirements" / f"{service}.lock").read_text())
        try:
            path.write_text(document(service, contents, lock))
        except ValueError as error:
            print(f"sbom: {service}: {error}", file=sys.stderr)
            return 65
        counts = f"{len(contents.distributions)} distributions, {len(contents.debian)} Debian packages"
        counts += f", {len(contents.scripts)} of JavaScript"
        print(f"sbom: {path.relative_to(ROOT)}: {counts}, Python {contents.versions['python']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
