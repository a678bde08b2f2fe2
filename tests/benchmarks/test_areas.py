"""The areas are what the documents say they are."""

import re
from pathlib import Path

from benchmarks.__main__ import AREAS

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_every_area_has_its_file() -> None:
    assert {path.stem for path in (FOLDER / "areas").glob("*.py")} == {*AREAS, "__init__", "costs"}


def test_every_area_has_its_row_in_the_document() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", (FOLDER / "README.md").read_text(), flags=re.MULTILINE)

    assert tuple(rows) == AREAS


def test_no_lock_names_a_registry() -> None:
    assert "://" not in (FOLDER / "peers/requirements.lock").read_text()


def test_every_pin_has_its_hash() -> None:
    pins = re.split(r"(?m)^(?=\S+==)", (FOLDER / "peers/requirements.lock").read_text())[1:]

    assert pins
    assert all("--hash=sha256:" in pin for pin in pins)
