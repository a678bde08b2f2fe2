"""What a build is sent: the files that `.dockerignore` lets through, by Docker's rules (the last pattern that matches a
path, or a folder above it, decides)."""

import os
import re
from collections.abc import Iterator
from pathlib import Path


def sent(root: Path) -> Iterator[Path]:
    """Paths below `root`, relative to it."""
    rules = [
        _rule(line) for line in (root / ".dockerignore").read_text().splitlines() if line.strip() and line[0] != "#"
    ]
    again = {pattern.pattern.split("/")[0] for allowed, pattern in rules if allowed}
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        if here == Path():
            folders[:] = [name for name in folders if not _ignored(name, rules) or _literal(name) in again]
        yield from (here / name for name in sorted(names) if not _ignored((here / name).as_posix(), rules))


def _rule(line: str) -> tuple[bool, re.Pattern[str]]:
    allowed = line.startswith("!")
    pattern = line.strip().removeprefix("!").strip("/")
    parts = ["(.*/)?" if part == "**" else f"{_literal(part)}/" for part in pattern.split("/")]
    return allowed, re.compile("".join(parts).removesuffix("/"))


def _literal(part: str) -> str:
    return re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")


def _ignored(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    ignored = False
    for allowed, pattern in rules:
        if any(pattern.fullmatch(each) for each in above):
            ignored = not allowed
    return ignored
