"""`python -m scripts.images.sbom [SERVICE…]`: what is in each image, as CycloneDX 1.6 in dist/sbom/SERVICE.cdx.json.

Read from the image itself: the distributions by their metadata, Debian's packages by the entries that the builder left,
JavaScript by the `vendor.json` beside it, Python by its version. Each document is validated against CycloneDX' schema
before it is written. The same image gives the same document: its serial number is made from the image's id, and there
is no time in it."""

import email
import json
import re
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL

from scripts.images.build import ROOT, reference, services

_NAMESPACE: Final = uuid.UUID("6c9c1c7e-5a0a-4d57-9a38-6d2c9f8a0f11")  # ours, for serial numbers
_METADATA: Final = re.compile(r"\.dist-info/METADATA$")
_DEBIAN: Final = re.compile(r"^var/lib/dpkg/status\.d/[^/]+$")
_VENDORED: Final = re.compile(r"site-packages/.*/vendor\.json$")
_LONGEST_LICENCE: Final = 80  # a longer one is the licence's text, put where its name belongs


@dataclass(frozen=True, slots=True)
class Contents:
    """Of an image: its id, the headers of what is installed, the version of Python, and the records of JavaScript."""

    identity: str
    distributions: Sequence[Mapping[str, str]]
    debian: Sequence[Mapping[str, str]]
    python: str
    scripts: Sequence[Mapping[str, str]] = ()


def document(service: str, version: str, contents: Contents) -> str:
    """The document. Raises ValueError where it is none by CycloneDX' schema."""
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, contents.identity))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the field is optional; the library's type says otherwise
    bom.metadata.component = Component(
        name=f"cortex-hub/{service}", version=version, type=ComponentType.CONTAINER, bom_ref=service
    )
    bom.components.update(_components(contents))
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    from cyclonedx.validation.json import JsonStrictValidator  # late: it compiles grammars, for a second

    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise ValueError(f"{service}: not CycloneDX 1.6: {str(wrong).splitlines()[0]}")
    return text + "\n"


def _components(contents: Contents) -> Iterator[Component]:
    licences = LicenseFactory()
    python = Component(name="python", version=contents.python, type=ComponentType.PLATFORM, bom_ref="python")
    python.purl = PackageURL("generic", None, "python", contents.python)
    python.licenses.add(licences.make_from_string("PSF-2.0"))
    yield python
    for headers in contents.distributions:
        name, version = re.sub(r"[-_.]+", "-", headers["Name"]).lower(), headers["Version"]
        url = PackageURL("pypi", None, name, version)
        component = Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url))
        licence = headers.get("License-Expression") or headers.get("License") or ""
        if 0 < len(licence) <= _LONGEST_LICENCE and "\n" not in licence:
            declared = LicenseAcknowledgement.DECLARED
            component.licenses.add(licences.make_from_string(licence, license_acknowledgement=declared))
        yield component
    for headers in contents.debian:
        url = PackageURL("deb", "debian", headers["Package"], headers["Version"], {"arch": headers["Architecture"]})
        yield Component(
            name=headers["Package"], version=headers["Version"], type=ComponentType.LIBRARY, purl=url, bom_ref=str(url)
        )
    for record in contents.scripts:
        name, version = record["package"], record["version"]
        url = PackageURL("npm", None, name, version)
        script = Component(name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=str(url))
        script.licenses.add(licences.make_from_string(record["license"]))
        yield script


def read(image: str) -> Contents:
    """Raises LookupError where the engine has no such image."""
    identity = _said("docker", "image", "inspect", "-f", "{{.Id}}", image)
    container = _said("docker", "create", image)
    asked = ("docker", "run", "--rm", "--entrypoint", "python", image, "-c")
    python = _said(*asked, "import platform; print(platform.python_version())")
    found: dict[re.Pattern[str], list[str]] = {_METADATA: [], _DEBIAN: [], _VENDORED: []}
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as exported,
            tarfile.open(fileobj=cast("IO[bytes]", exported.stdout), mode="r|") as archive,
        ):
            for member in archive:
                kind = next((each for each in found if each.search(member.name)), None)
                file = archive.extractfile(member) if kind and member.isfile() else None
                if kind and file is not None:
                    found[kind].append(file.read().decode())
    finally:
        _said("docker", "rm", container)
    scripts = [json.loads(text) for text in found[_VENDORED]]
    return Contents(identity, _all(found[_METADATA]), _all(found[_DEBIAN]), python, scripts)


def _all(texts: Sequence[str]) -> list[Mapping[str, str]]:
    return [_headers(text) for text in texts]


def _headers(text: str) -> Mapping[str, str]:
    message = email.message_from_string(text)
    return {name: str(value) for name, value in message.items()}


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError((done.stderr.strip().splitlines() or ["docker says nothing"])[-1])
    return done.stdout.strip()


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
        version = next(it["Version"] for it in contents.distributions if it["Name"] == f"cortex-{service}")
        path.write_text(document(service, version, contents))
        counts = f"{len(contents.distributions)} distributions, {len(contents.debian)} Debian packages"
        counts += f", {len(contents.scripts)} of JavaScript"
        print(f"sbom: {path.relative_to(ROOT)}: {counts}, Python {contents.python}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
