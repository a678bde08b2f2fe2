"""`scripts/` is the tree's own, no installed package."""

import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Of a virtual environment in `venv`, which has a Python and nothing else: its site-packages, not made yet."""
    place = tmp_path / "venv"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to(Path(sys.executable).resolve())
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
