"""Rules that no linter at hand knows: exceptions are not swallowed, files have words for names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
BROAD = {"Exception", "BaseException"}


def sources() -> list[Path]:
    return sorted(path for top in ("libs", "services", "cli") for path in (ROOT / top).glob("**/src/**/*.py"))


def swallowed(tree: ast.AST) -> Iterator[int]:
    """Lines where any exception at all is caught and nothing is done with it: neither raised, nor told to anybody."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _uses(node):
            yield node.lineno
        if isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(_is_broad(arg) for arg in node.args):
            yield node.lineno


def _name(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_broad(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_is_broad(element) for element in node.elts)
    return node is None or _name(node) in BROAD


def _uses(handler: ast.ExceptHandler) -> bool:
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Name) and node.id == handler.name)
        or (isinstance(node, ast.Attribute) and node.attr == "exception")
        for node in inside
    )


def test_no_exception_is_swallowed() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}" for path in sources() for line in swallowed(ast.parse(path.read_text()))
    ]

    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    work()\nexcept Exception:\n    pass",
        "try:\n    work()\nexcept:\n    result = None",
        "try:\n    work()\nexcept (ValueError, Exception) as error:\n    return_value = 1",
        "import contextlib\nwith contextlib.suppress(Exception):\n    work()",
    ],
)
def test_the_rule_sees_a_swallowed_exception(code: str) -> None:
    assert list(swallowed(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    work()\nexcept ValueError:\n    pass",
        "try:\n    work()\nexcept Exception:\n    logger.exception('died')",
        "try:\n    work()\nexcept Exception as error:\n    report(error)",
        "try:\n    work()\nexcept BaseException:\n    undo()\n    raise",
    ],
)
def test_the_rule_leaves_honest_handlers_alone(code: str) -> None:
    assert not list(swallowed(ast.parse(code)))


def test_no_file_has_a_vague_name() -> None:
    assert [str(path.relative_to(ROOT)) for path in sources() if path.stem in VAGUE] == []


def test_no_file_is_past_three_hundred_lines() -> None:
    assert [str(path.relative_to(ROOT)) for path in sources() if len(path.read_text().splitlines()) > 300] == []
