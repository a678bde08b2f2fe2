"""The commands of a page of the documentation: what a test runs is what a reader copies."""

import re
from pathlib import Path


def commands(page: Path, heading: str) -> str:
    """Every ```sh block under the heading, up to the next of its rank or a higher one. Raises ValueError where there is
    none."""
    lines = page.read_text().splitlines()
    start = next((number for number, line in enumerate(lines) if re.fullmatch(rf"#+ {re.escape(heading)}", line)), None)
    if start is None:
        raise ValueError(f"{page.name} has no heading {heading!r}")
    rank = len(lines[start]) - len(lines[start].lstrip("#"))
    blocks: list[str] = []
    inside = False
    for line in lines[start + 1 :]:
        if line.startswith("```"):
            inside = not inside and line == "```sh"
        elif inside:
            blocks.append(line)
        elif re.match(rf"#{{1,{rank}}} ", line):
            break
    if not blocks:
        raise ValueError(f"{page.name}, {heading!r}: no commands")
    return "\n".join(blocks)
