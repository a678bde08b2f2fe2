"""Brings the console's one dependency into the tree: uPlot (MIT), as its author published it, checked by its hash.

`python scripts/vendor.py` fetches the pinned version with npm and writes it down; `--check` only holds what is in the
tree against the hashes in `vendor.json`. Nothing at run time or in the tests needs npm: the files are committed.
"""

import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "uplot"
VERSION: Final = "1.6.32"
INTEGRITY: Final = (  # the registry's, of the tarball (SHA-512)
    "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
)
FILES: Final = {
    "package/dist/uPlot.esm.js": "uPlot.js",
    "package/dist/uPlot.min.css": "uPlot.css",
    "package/LICENSE": "uPlot.LICENSE",
}
PLACE: Final = Path(__file__).parents[1] / "services/gateway/src/cortex_gateway/console/assets/vendor"
RECORD: Final = PLACE / "vendor.json"


def fetch() -> dict[str, bytes]:
    """The files by the names they get here. Raises ValueError where the package is not the one that was read."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tgz"))
        found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise ValueError(f"{PACKAGE} {VERSION} is {found}, not {INTEGRITY}")
        with tarfile.open(archive) as package:
            return {name: _read(package, path) for path, name in FILES.items()}


def _read(package: tarfile.TarFile, path: str) -> bytes:
    member = package.extractfile(path)
    if member is None:
        raise ValueError(f"{path} is no file")
    return member.read()


def differences() -> list[str]:
    """What in the tree is not what was fetched."""
    record = json.loads(RECORD.read_text())
    expected = {"package": PACKAGE, "version": VERSION, "integrity": INTEGRITY}
    wrong = [f"{name}: {record.get(name)}" for name, value in expected.items() if record.get(name) != value]
    for name, digest in record["files"].items():
        if hashlib.sha256((PLACE / name).read_bytes()).hexdigest() != digest:
            wrong.append(name)
    return wrong + [name for name in FILES.values() if name not in record["files"]]


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PLACE.mkdir(parents=True, exist_ok=True)
        contents = fetch()
        for name, content in contents.items():
            (PLACE / name).write_bytes(content)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        told = {"package": PACKAGE, "version": VERSION, "license": "MIT", "integrity": INTEGRITY, "files": digests}
        RECORD.write_text(json.dumps(told, indent=2) + "\n")
    wrong = differences()
    print(f"vendor: not as fetched: {', '.join(wrong)}" if wrong else f"vendor: {PACKAGE} {VERSION}, as fetched")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
