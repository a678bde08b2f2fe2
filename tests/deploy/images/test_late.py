"""SQLAlchemy's asyncio without its sessions, until somebody asks for one: the package's own `__init__.py`, made so."""

import json
import marshal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Final

import pytest

from scripts.images.builder import __main__ as builder
from scripts.images.builder import packages
from scripts.images.builder.late import PACKAGE, OtherShape, without_sessions

SITE: Final = Path(sysconfig.get_path("purelib"))
THEIRS: Final = (SITE / PACKAGE).read_bytes()
SESSIONS: Final = """
from .engine import AsyncEngine as AsyncEngine
from .scoping import async_scoped_session as async_scoped_session
from .session import AsyncSession as AsyncSession
"""
_LEAN: Final = f"""
import importlib.util, json, sys, sqlalchemy.ext
place = {str((SITE / PACKAGE).parent)!r}
spec = importlib.util.spec_from_file_location("sqlalchemy.ext.asyncio", sys.argv[1], submodule_search_locations=[place])
package = sys.modules[spec.name] = sqlalchemy.ext.asyncio = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
"""


def _said(place: Path, program: str) -> Any:
    """What `program` prints as JSON where `sqlalchemy.ext.asyncio` is what the builder makes of it."""
    lean = place / "lean.py"
    lean.write_bytes(without_sessions(THEIRS, PACKAGE))
    words = [sys.executable, "-c", f"{_LEAN}{program}", str(lean)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def test_an_engine_comes_without_the_orm(tmp_path: Path) -> None:
    program = """
import asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
async def answer():
    async with create_async_engine("sqlite+aiosqlite://").connect() as connection:
        return (await connection.execute(text("select 42"))).scalar_one()
print(json.dumps([asyncio.run(answer()), "sqlalchemy.orm" in sys.modules]))
"""
    assert _said(tmp_path, program) == [42, False]


def test_a_session_is_there_for_who_asks(tmp_path: Path) -> None:
    program = """
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, session
from sqlalchemy.ext.asyncio.scoping import async_scoped_session as scoped
same = [AsyncSession is session.AsyncSession, async_scoped_session is scoped]
print(json.dumps([*same, "sqlalchemy.orm" in sys.modules]))
"""
    assert _said(tmp_path, program) == [True, True, True]


_NAMES: Final = """
import importlib, types
taken = {}
exec("from sqlalchemy.ext.asyncio import *", taken)
package = importlib.import_module("sqlalchemy.ext.asyncio")
listed = {name: getattr(package, name) for name in dir(package)}
print(json.dumps([
    sorted(name for name, it in them.items() if name[0] != "_" and not isinstance(it, types.ModuleType))
    for them in (taken, listed)
]))
"""


def test_it_has_the_names_that_it_had(tmp_path: Path) -> None:
    words = [sys.executable, "-c", f"import json{_NAMES}"]
    theirs = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    assert "AsyncSession" in theirs[0]
    assert _said(tmp_path, _NAMES) == theirs


def test_another_name_is_refused_as_by_any_module(tmp_path: Path) -> None:
    program = """
from sqlalchemy.ext import asyncio
try:
    asyncio.AsyncNothing
except AttributeError as error:
    print(json.dumps([str(error), hasattr(asyncio, "__wrapped__"), "sqlalchemy.orm" in sys.modules]))
"""
    said = "module 'sqlalchemy.ext.asyncio' has no attribute 'AsyncNothing'"

    assert _said(tmp_path, program) == [said, False, False]


@pytest.mark.parametrize(
    "source",
    [
        "",
        SESSIONS.replace(".scoping", ".scopes"),
        SESSIONS.replace("AsyncSession as AsyncSession", "AsyncSession as Session"),
        SESSIONS.replace("AsyncSession as AsyncSession", "*"),
        f"{SESSIONS}\nif True:\n    from .session import close_all_sessions",
        f"{SESSIONS}\nfrom . import session",
        f"{SESSIONS}\nmaker = AsyncSession",
        f"{SESSIONS}\n__all__ = ['AsyncEngine', 'AsyncSession']",
        f"{SESSIONS}\ndef __getattr__(name): ...",
    ],
)
def test_a_file_of_another_shape_is_refused(source: str) -> None:
    """It would load everything, as before, and nobody would notice."""
    with pytest.raises(OtherShape, match=rf"^.*{PACKAGE}: .*scripts/images/builder/late\.py.*$") as refused:
        without_sessions(source.encode(), PACKAGE)
    assert "\n" not in str(refused.value)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    place = tmp_path / "venv"
    package = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)})) / PACKAGE
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").symlink_to(Path(sys.executable).resolve())
    package.parent.mkdir(parents=True)
    package.write_bytes(THEIRS)
    return place


def test_the_layer_has_it_so(environment: Path, tmp_path: Path) -> None:
    packages.dependencies(environment, tmp_path / "layer", [])

    (made,) = (tmp_path / "layer").rglob("sqlalchemy/ext/asyncio/__init__.pyc")
    assert "__getattr__" in marshal.loads(made.read_bytes()[16:]).co_names


def test_the_build_fails_by_one_line(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (package,) = environment.rglob(PACKAGE)
    package.write_text("from ._all import *")
    monkeypatch.setattr(builder, "ENVIRONMENT", environment)
    monkeypatch.setattr(builder, "LAYERS", tmp_path / "layers")
    monkeypatch.setattr(builder, "_uv", lambda *_: None)

    assert builder.main(["dependencies"]) == 65
    assert capsys.readouterr().err.count("\n") == 1
