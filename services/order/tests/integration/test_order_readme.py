"""The journey of the README, run as printed against the service and its sandbox: each line comes to what it says."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cortex_core.events import MemoryEventBus
from cortex_core.testing import serving
from cortex_order.sandbox import Sandbox
from cortex_order.settings import Settings
from cortex_order.wiring import build

README = Path(__file__).parents[2] / "README.md"
RECORDING = """
curl() {
  command curl -s --max-time 20 -D "$TALK/headers" -o "$TALK/body" "$@"
  { printf '\\n@@ %s\\n' "${BASH_LINENO[0]}"; cat "$TALK/headers" "$TALK/body"; } >> "$TALK/all"
  cat "$TALK/body"
}
set -euo pipefail
"""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine; .ci/run installs one")


@dataclass(frozen=True)
class Line:
    """A line of the block: what it promises of each answer, the status first."""

    text: str
    promises: list[str]


def journey() -> list[Line]:
    (block,) = re.findall(r"^```bash\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = []
    for text in block.splitlines():
        command, _, comment = text.rpartition("  # ") if re.search(r"  # \d{3}", text) else (text, "", "")
        lines.append(Line(command, [each.strip() for each in comment.split(" · ")] if comment else []))
    return lines


@pytest.fixture
async def ports(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """The README's ports, and where they are here."""
    async with serving(Sandbox(latency=0.0)) as provider:
        told = settings.model_copy(update={"payment_url": str(provider._base_url)})
        async with serving(build(told, bus=MemoryEventBus())) as service:
            yield {"3001": str(service._base_url.port), "3010": str(provider._base_url.port)}


@pytest.mark.timeout(300)  # some forty requests, one after the other, beside whatever else the machine does
async def test_each_line_comes_to_what_it_says(ports: dict[str, str], tmp_path: Path) -> None:
    lines = journey()
    script = RECORDING + "\n".join(line.text for line in lines)
    script = re.sub(r"localhost:(\d{4})", lambda match: f"127.0.0.1:{ports[match[1]]}", script)

    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, env={"PATH": "/usr/bin:/bin", "TALK": str(tmp_path)}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), 240)

    assert process.returncode == 0, errors.decode()
    assert len([line for line in lines if line.promises]) > 30
    answers = recorded(tmp_path / "all", first=RECORDING.count("\n") + 1)
    for number, line in enumerate(lines):
        if line.promises:
            assert answers.get(number), f"never run: {line.text}"
        for answer in answers.get(number, []):
            assert line.promises, f"promises nothing: {line.text}"
            for missing in (each for each in kept_or_not(line.promises) if each.lower() not in answer.lower()):
                raise AssertionError(f"{line.text}\nlacks {missing}\n{answer}")


def kept_or_not(promises: list[str]) -> list[str]:
    """What an answer must contain: its status, and all that is no remark of several words."""
    status, *others = promises
    return [f"HTTP/1.1 {status}", *(each for each in others if '"' in each or ":" in each or len(each.split()) == 1)]


def recorded(file: Path, *, first: int) -> dict[int, list[str]]:
    """Answers by the number of the line in the block."""
    answers: dict[int, list[str]] = {}
    for number, answer in re.findall(r"^@@ (\d+)\n(.*?)(?=^@@ |\Z)", file.read_text(), flags=re.MULTILINE | re.DOTALL):
        answers.setdefault(int(number) - first, []).append(answer)
    return answers
