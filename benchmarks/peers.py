"""The peers: installed by their locks into `.peers/`, a folder that git does not see. Ours run on the hub's own pins;
the peers' environment lies over it, so that both run on one Python and one version of what they share."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "peers/requirements.lock"
FOLDER: Final = HERE / ".peers"
PYTHON: Final = FOLDER / "venv/bin/python"
_STAMP: Final = FOLDER / "stamp"


def install() -> None:
    """Nothing to do the second time. Raises CalledProcessError where the installer fails: it has said why."""
    wanted = _digest()
    if PYTHON.exists() and _STAMP.exists() and _STAMP.read_text() == wanted:
        return
    sys.stderr.write(f"bench: installing the peers of {LOCK.relative_to(HERE.parent)}\n")
    venv.create(FOLDER / "venv", clear=True, symlinks=True)
    uv = Path(sys.prefix) / "bin/uv"
    subprocess.run([uv, "pip", "install", "-q", "--python", PYTHON, "--require-hashes", "-r", LOCK], check=True)
    site = next((FOLDER / "venv/lib").glob("python*/site-packages"))
    ours = next((Path(sys.prefix) / "lib").glob("python*/site-packages"))
    (site / "zz_hub.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
    _STAMP.write_text(wanted)


def _digest() -> str:
    """Of all that decides what the folder holds: the locks, and the environment that lies beneath."""
    parts = [LOCK.read_bytes(), sys.prefix.encode(), sys.version.encode(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
