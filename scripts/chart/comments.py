"""The comments of values.yaml, each with the path of the key below it. Reads the two-space block style of that file and
refuses a key without a comment, wherever it is not inside a value on one line."""

import re
from collections.abc import Iterator
from typing import Final

Path = tuple[str, ...]

_KEY: Final = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")


def read(text: str) -> dict[Path, str]:
    """Raises ValueError for a key that nobody explains."""
    return dict(_commented(text))


def _commented(text: str) -> Iterator[tuple[Path, str]]:
    path: list[str] = []
    comment: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped[1:].strip())
            continue
        found = _KEY.match(line)
        if found is None:
            if stripped and not path:
                raise ValueError(f"line {number}: {stripped!r} is neither a key nor a comment")
            comment = []
            continue
        depth = len(found[1]) // 2
        path[depth:] = [found[2]]
        if not comment and not _says_itself(path):
            raise ValueError(f"line {number}: {'.'.join(path)} has no comment")
        yield tuple(path), " ".join(comment)
        comment = []


def _says_itself(path: list[str]) -> bool:
    """What `serviceDefaults` explains already, and requests and limits of a container."""
    return (path[0] == "services" and len(path) > 2) or path[-1] in {"requests", "limits"}
