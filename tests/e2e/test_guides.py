"""The guides to who is asking: their commands as they are printed, one after the other, on a running hub."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

GUIDES = Path(__file__).parents[2] / "docs/guides"

pytestmark = [
    pytest.mark.hub,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine; .ci/run installs one"),
]


@pytest.mark.parametrize(("guide", "least"), [("api-keys", 5), ("authentication", 1)])
def test_its_commands_do_what_they_promise(shared_hub: "RealHub", guide: str, least: int) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (GUIDES / f"{guide}.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("127.0.0.1:3000", f"127.0.0.1:{shared_hub.port_base}")
    command = f'cortex() {{ "{sys.executable}" -m cortex_cli.main "$@"; }}'
    script = f"set -euxo pipefail\n{command}\n{lines}"

    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=shared_hub.folder,
        env=shared_hub.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(blocks) >= least
