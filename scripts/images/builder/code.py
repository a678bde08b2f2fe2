"""Python source as what an image holds: compiled, with line numbers, the same bytes at every build.

Compiled files stand for themselves (PEP 552, unchecked hash): nobody compares times, and a read-only root is no loss.
What others wrote is kept as `.pyc` alone, in the place of its `.py`; what is ours as source too, so that a traceback
shows it and Alembic finds its revisions."""

import ast
import importlib.util
import sys
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]  # it has no public name
from pathlib import Path


class NotCompiled(Exception):
    """A file that is no Python of this version."""


def compiled(source: bytes, filename: str, *, documented: bool = True) -> bytes:
    """The contents of a `.pyc`. `filename` is what tracebacks say. `documented=False`: without docstrings, which
    `help()` alone would show; assertions stay. Raises NotCompiled."""
    try:
        tree = ast.parse(source, filename)
        code = compile(tree if documented else _undocumented(tree), filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise NotCompiled(f"{filename}: {error}") from None
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))


def _undocumented(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        match node:
            case (
                ast.Module(body=[ast.Expr(value=ast.Constant(value=str())) as text, *rest])
                | ast.ClassDef(body=[ast.Expr(value=ast.Constant(value=str())) as text, *rest])
                | ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())) as text, *rest])
                | ast.AsyncFunctionDef(body=[ast.Expr(value=ast.Constant(value=str())) as text, *rest])
            ):
                node.body = rest or [ast.copy_location(ast.Pass(), text)]
    return tree


def cached_name(source: Path) -> Path:
    """Where the compiled form of a source that is kept lies."""
    return source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
