"""What is left of Pillow in the image."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from scripts.images.builder import packages

ROOT = Path(__file__).parents[3]
SITE = Path(sysconfig.get_path("purelib"))


_IMAGES_ALONE = """
import sys
LEFT_OUT = {left_out!r}
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in LEFT_OUT:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gone())
import pytest
raise SystemExit(pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly", *{tests!r}]))
"""


def test_what_is_left_of_pillow_does_all_that_compute_asks_of_it(tmp_path: Path) -> None:
    """Compute's own tests of images, in a process that cannot import what the image has not."""
    chosen = {path.name for path in packages.files(Path(sys.prefix), lambda name: name.startswith("PIL/"))}
    every = [path for path in (SITE / "PIL").iterdir() if path.suffix in {".py", ".so"}]
    left_out = {f"PIL.{path.name.partition('.')[0]}" for path in every if path.name not in chosen}
    left_out -= {"PIL.ImageCms", "PIL._imagingcms"}  # with which these tests make profiles
    tests = [str(ROOT / "services/compute/tests/test_image_processing.py"), "-k", "not many_tiles"]
    program = _IMAGES_ALONE.format(left_out=left_out, tests=tests)

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert {"PIL.GribStubImagePlugin", "PIL.ImageFont", "PIL._avif"} <= left_out
    assert "PIL.PngImagePlugin" not in left_out
    assert done.returncode == 0, done.stdout[-2000:]
