"""JavaScript that a Python package brings along: its licence beside it, and `vendor.json`, which the SBOM reads.

uPlot of the console has both in the tree. Swagger UI comes in the wheel of fastapi-offline, with neither: the notices
are those of `swagger-ui-dist`, the same files at the author's. Refuses a bundle that does not name its version."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scripts.images.builder.tree import Tree

BUNDLE: Final = "fastapi_offline/static/swagger-ui-bundle.js"
NOTICES: Final = Path(__file__).with_name("notices") / "swagger-ui.txt"
_VERSION: Final = re.compile(rb'PACKAGE_VERSION:"(\d[^"]*)"')


def describe(tree: Tree, chosen: Iterable[Path]) -> None:
    """Writes what is missing beside each bundle among `chosen`. Raises ValueError."""
    for path in chosen:
        if not path.as_posix().endswith(BUNDLE):
            continue
        version = _VERSION.search(path.read_bytes())
        if version is None:
            raise ValueError(f"{path} does not name its version")
        record = {"package": "swagger-ui-dist", "version": version[1].decode(), "license": "Apache-2.0"}
        tree.write(path.with_name("vendor.json"), f"{json.dumps(record, indent=2)}\n".encode())
        tree.write(path.with_name("swagger-ui.LICENSE"), NOTICES.read_bytes())
