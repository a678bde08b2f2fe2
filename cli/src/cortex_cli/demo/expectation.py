"""What a step expects, and the error that says it was not so."""

from typing import Any


class Unmet(Exception):
    """A step is not what it should be. Says what was expected and what was found."""

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(f"expected {expected}; found {found}")
        self.expected = expected
        self.found = found


def expect(met: bool, expected: str, found: Any) -> None:
    """Raises Unmet unless `met`."""
    if not met:
        raise Unmet(expected, found)
