"""The Python blocks of the libraries' documents, and of the blocks' pages in docs/blocks, run as they are printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLES = [
    pytest.param(block, id=f"{document.relative_to(ROOT)}-{number}")
    for document in sorted([*ROOT.glob("libs/*/README.md"), *ROOT.glob("docs/blocks/*.md")])
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL))
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str) -> None:
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=30, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
