"""`python -m scripts.images.build [SERVICE…]`: builds the images and prints what they weigh.

Tagged `cortex-hub/SERVICE:TAG`, TAG from CORTEX_TAG, else `dev`. COLD=1 builds without the cache first. Exits 1 where
an image is above its limit. Refuses nothing else: what is in an image is the Dockerfile's, whether it works the tests'.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

ROOT: Final = Path(__file__).parents[2]
LIMIT: Final = 100_000_000
EXCUSED: Final[Mapping[str, str]] = {}  # service: which bytes are above the limit, and why they stay
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes, seconds."""

    service: str
    unpacked: int
    files: int
    compressed: int
    layers: Sequence[str]
    cold: float | None
    warm: float

    @property
    def verdict(self) -> str:
        if self.unpacked <= LIMIT:
            return "ok"
        return EXCUSED.get(self.service, "")


def services() -> list[str]:
    return list(tomllib.loads((ROOT / "topology.toml").read_text())["services"])


def reference(service: str) -> str:
    return f"cortex-hub/{service}:{os.environ.get('CORTEX_TAG', 'dev')}"


def version(service: str) -> str:
    return str(tomllib.loads((ROOT / "services" / service / "pyproject.toml").read_text())["project"]["version"])


def revision() -> str:
    """The commit, `-dirty` where the tree is not the commit's; `unknown` without git or outside a clone."""
    asked = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return os.environ.get("CORTEX_REVISION") or (_said(*asked) if shutil.which("git") else "") or "unknown"


def build(service: str, *, cold: bool = False) -> float:
    """Seconds it took. Raises CalledProcessError after the builder has said why."""
    told = {"VERSION": version(service), "REVISION": revision()}
    if base := os.environ.get("BASE_IMAGE"):
        told["BASE_IMAGE"] = base
    arguments = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
    if source := os.environ.get("CORTEX_SOURCE"):
        arguments += ["--label", f"org.opencontainers.image.source={source}"]
    command = ["docker", "build", "-q", "--target", service, "-t", reference(service), *arguments]
    began = time.monotonic()
    subprocess.run([*command, *(["--no-cache"] if cold else []), "."], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measure(service: str, cold: float | None, warm: float) -> Measured:
    image = json.loads(_said("docker", "image", "inspect", reference(service)))[0]
    return Measured(
        service,
        unpacked=int(image["Size"]),
        files=_bytes_of_files(reference(service)),
        compressed=_compressed(reference(service)),
        layers=image["RootFS"]["Layers"],
        cold=cold,
        warm=warm,
    )


def table(rows: Sequence[Measured]) -> str:
    """Markdown. What all the images share is counted in each row, and once only where they lie."""
    head = "| image | unpacked | files | compressed | layers (shared) | cold build | warm build | |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---|"]
    shared = set.intersection(*(set(row.layers) for row in rows)) if rows else set()
    for row in rows:
        cold = "" if row.cold is None else f"{row.cold:.0f} s"
        sizes = " | ".join(f"{size / 1e6:.1f} MB" for size in (row.unpacked, row.files, row.compressed))
        counted = f"{len(row.layers)} ({len(shared)})"
        verdict = row.verdict or f"above {LIMIT / 1e6:.0f} MB"
        lines.append(f"| {row.service} | {sizes} | {counted} | {cold} | {row.warm:.1f} s | {verdict} |")
    return "\n".join(lines)


def main(wanted: Sequence[str]) -> int:
    unknown = sorted(set(wanted) - set(services()))
    if unknown:
        print(f"images: no service is called {', '.join(unknown)}; there are {', '.join(services())}", file=sys.stderr)
        return 64
    if shutil.which("docker") is None:
        print("images: there is no docker on the PATH", file=sys.stderr)
        return 69
    rows = []
    for service in wanted or services():
        try:
            cold = build(service, cold=True) if os.environ.get("COLD") else None
            build(service)
            warm = build(service)
        except subprocess.CalledProcessError:
            print(f"images: {service} could not be built; the builder says why above", file=sys.stderr)
            return 1
        rows.append(measure(service, cold, warm))
        print(f"images: {reference(service)} {rows[-1].unpacked / 1e6:.1f} MB", file=sys.stderr)
    print(table(rows))
    return 0 if all(row.verdict for row in rows) else 1


def _said(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _bytes_of_files(image: str) -> int:
    container = _said("docker", "create", image)
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as exported,
            tarfile.open(fileobj=cast("IO[bytes]", exported.stdout), mode="r|") as archive,
        ):
            return sum(each.size for each in archive if each.isfile())
    finally:
        _said("docker", "rm", container)


def _compressed(image: str) -> int:
    """As `docker save | gzip -6` has it: near to what a registry keeps and a node pulls."""
    counted = _Counted()
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        source = cast("IO[bytes]", saved.stdout)
        with gzip.GzipFile(fileobj=cast("IO[bytes]", counted), mode="wb", compresslevel=6) as packed:
            while piece := source.read(_PIECE):
                packed.write(piece)
    return counted.size


class _Counted:
    """A file that only knows how long it would be."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
