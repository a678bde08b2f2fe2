"""Packages whose `__init__.py` loads what none of ours uses: those names of theirs are loaded when they are asked for.

Made of the file itself: its imports from the modules below become names by PEP 562, all else stays as it is. A file of
another shape is refused: it would load everything again, and nobody would notice. Each asks a look of whoever renews
its lock, so that only what is 2 MiB of a process and more is here."""

import ast
from collections.abc import Mapping
from typing import Final

LATE: Final[Mapping[str, frozenset[str]]] = {
    # The bus speaks over connections; clients, each with a method a command, are for who keeps keys.
    "redis/__init__.py": frozenset({"client", "cluster", "connection", "keyspace_notifications", "sentinel"}),
    "redis/asyncio/__init__.py": frozenset({"client", "cluster", "keyspace_notifications", "sentinel"}),
    # Sessions bring the whole ORM.
    "sqlalchemy/ext/asyncio/__init__.py": frozenset({"scoping", "session"}),
}
_HOOKS: Final = frozenset({"__dir__", "__getattr__"})
_WHEN_ASKED_FOR: Final = """
if "__all__" not in globals():
    __all__ = [*(name for name in dir() if name[0] != "_"), *_LATE]

def __getattr__(name):
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(_LATE[name]), name)

def __dir__():
    return sorted({*globals(), *_LATE})
"""


class OtherShape(Exception):
    """A package is no longer what this was written for."""


def made_late(name: str, source: bytes) -> bytes:
    """`source` of the file `name` (`redis/__init__.py`), changed where it is listed. Raises OtherShape,
    one line that says what to do."""
    if name not in LATE:
        return source
    package = name.removesuffix("/__init__.py").replace("/", ".")
    modules = {f"{package}.{module}" for module in LATE[name]}
    tree = ast.parse(source, name)
    imports = [it for it in tree.body if isinstance(it, ast.ImportFrom) and _module(package, it) in modules]
    aliases = [(alias, _module(package, it)) for it in imports for alias in it.names]
    late = {alias.name: module for alias, module in aliases if alias.asname in (None, alias.name)}
    tree.body = [it for it in tree.body if it not in imports]
    known = set(late.values()) == modules and len(late) == len(aliases) and "*" not in late
    if not known or not _said(package, tree).isdisjoint(late.keys() | modules | _HOOKS):
        raise OtherShape(
            f"{name}: no longer imports {', '.join(sorted(LATE[name]))} as it did; see what it loads now, "
            "and change scripts/images/builder/late.py or take it out there"
        )
    return f"{ast.unparse(tree)}\n_LATE = {late!r}\n{_WHEN_ASKED_FOR}".encode()


def _module(package: str, imported: ast.ImportFrom) -> str:
    """Its whole name, where it is the package's own; of others' whatever is no such name."""
    within = imported.module or ""
    return f"{package}.{within}".rstrip(".") if imported.level == 1 else "." * imported.level + within


def _said(package: str, tree: ast.Module) -> set[str]:
    """The names that a module uses, makes or imports, modules by their whole names."""
    said = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.FunctionDef(name=name) | ast.alias(name=name):
                said.add(name)
            case ast.ImportFrom(names=names):
                module = _module(package, node)
                said |= {module, *(f"{module}.{alias.name}" for alias in names)}
    return said
