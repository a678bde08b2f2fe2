"""`sqlalchemy.ext.asyncio` without its sessions until one is asked for: they bring the whole ORM, 6 MiB of each,
and none of it is used. Made of the file itself: what it imports of `.scoping` and `.session` becomes names that are
loaded by PEP 562, all else stays. A file of another shape is refused: it would load everything, and nobody notice."""

import ast
from typing import Final

PACKAGE: Final = "sqlalchemy/ext/asyncio/__init__.py"
_LATE: Final = frozenset({"scoping", "session"})
_HOOKS: Final = frozenset({"__all__", "__dir__", "__getattr__"})
_WHEN_ASKED_FOR: Final = """
__all__ = [*(name for name in dir() if name[0] != "_"), *_LATE]

def __getattr__(name):
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)

def __dir__():
    return sorted({*globals(), *_LATE})
"""


class OtherShape(Exception):
    """SQLAlchemy is no longer what this was written for."""


def without_sessions(source: bytes, filename: str) -> bytes:
    """`source`, the package's own, so changed. Raises OtherShape, in one line that says what to do."""
    tree = ast.parse(source, filename)
    imports = [it for it in tree.body if isinstance(it, ast.ImportFrom) and it.level == 1 and it.module in _LATE]
    late = {alias.name: str(it.module) for it in imports for alias in it.names if alias.asname == alias.name}
    tree.body = [it for it in tree.body if it not in imports]
    if {it.module for it in imports} != _LATE or len(late) != sum(len(it.names) for it in imports) or _uses(tree, late):
        raise OtherShape(
            f"{filename}: no longer imports .scoping and .session as it did; see whether it still loads "
            "sqlalchemy.orm, and change scripts/images/builder/late.py or take it out"
        )
    return f"{ast.unparse(tree)}\n_LATE = {late!r}\n{_WHEN_ASKED_FOR}".encode()


def _uses(tree: ast.Module, late: dict[str, str]) -> bool:
    """Whether what is left needs what was taken, or says itself what we would say."""
    nodes = list(ast.walk(tree))
    said = {it.id for it in nodes if isinstance(it, ast.Name)} | {it.name for it in nodes if isinstance(it, ast.alias)}
    said |= {it.name for it in nodes if isinstance(it, ast.FunctionDef)}
    said |= {str(it.module) for it in nodes if isinstance(it, ast.ImportFrom)}
    return not said.isdisjoint(late.keys() | _LATE | _HOOKS)
