"""The curl lines of the documents, run as printed against a running hub; only addresses and placeholders differ."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from cortex_core.ipfs import RAW, Block

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", *(f"services/{path.parent.name}/README.md" for path in ROOT.glob("services/*/README.md"))]
FAILING = 'curl() { command curl --fail-with-body --max-time 20 "$@"; }'  # a status of 400 or more is no success

pytestmark = [
    pytest.mark.hub,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine; .ci/run installs one"),
]


def curl_blocks(document: str) -> list[str]:
    """The shell blocks that are nothing but curl."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for block in blocks if all(line.startswith(("curl ", " ")) for line in block.splitlines() if line)]


def addressed(block: str, hub: "RealHub", order_id: str = "", cid: str = "") -> str:
    """The block with this hub's addresses, an order and a file that exist."""
    payments = hub.row("payments")["url"].rpartition(":")[2]
    ports = {str(3000 + offset): str(hub.port_base + offset) for offset in range(6)}
    ports |= {"9090": str(hub.port_base + 6), "3010": payments}
    block = re.sub(r"(127\.0\.0\.1|localhost):(\d{4})", lambda match: f"127.0.0.1:{ports[match[2]]}", block)
    return block.replace("ord_…", order_id).replace("bafkrei…", cid)


def test_every_document_has_lines_to_copy() -> None:
    without = {document for document in DOCUMENTS if not curl_blocks(document)}

    assert without == {"services/notification/README.md"}  # a WebSocket: its Python lines are run below


def test_the_lines_do_what_they_promise(shared_hub: "RealHub", tmp_path: Path) -> None:
    order_id = shared_hub.place()
    Image.new("RGB", (64, 48), "orange").save(tmp_path / "photo.jpg")
    cid = str(Block.of(RAW, (tmp_path / "photo.jpg").read_bytes()).cid)  # of one chunk: the raw block's
    shutil.copy(ROOT / "README.md", tmp_path)

    failed = []
    for document in sorted(DOCUMENTS):
        for block in curl_blocks(document):
            script = f"set -eo pipefail\n{FAILING}\n{addressed(block, shared_hub, order_id, cid)}"
            ran = subprocess.run(
                ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
            )
            if ran.returncode != 0:
                failed.append(f"{document}: {script}\n{ran.stdout}\n{ran.stderr}")

    assert not failed, "\n".join(failed)


def test_the_listener_of_the_document_hears_an_order(shared_hub: "RealHub") -> None:
    document = (ROOT / "services/notification/README.md").read_text()
    block = re.findall(r"^```python\n(.*?)^```", document, flags=re.MULTILINE | re.DOTALL)[0]
    program = addressed(block, shared_hub)

    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert '"welcome"' in listener.stdout.readline()
        order_id = shared_hub.place()
        heard = listener.stdout.readline()
        listener.terminate()

    assert '"order.created"' in heard
    assert order_id in heard
