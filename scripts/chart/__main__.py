"""`make render`: writes what is made for the chart, then what is made of it, and says what changed."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.chart import files

ROOT: Final = Path(__file__).parents[2]


def main() -> int:
    before = files.inputs(ROOT)
    changed = _write(before)
    after = files.outputs(ROOT)
    changed += _write(after)
    for file in files.strays(ROOT, {*before, *after}):
        file.unlink()
        changed.append(f"{file.relative_to(ROOT)} (removed)")
    print(*(changed or ["render: nothing changed"]), sep="\n")
    return 0


def _write(texts: Mapping[str, str]) -> list[str]:
    changed = []
    for name, text in texts.items():
        file = ROOT / name
        if not file.is_file() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            changed.append(name)
    return changed


if __name__ == "__main__":
    sys.exit(main())
