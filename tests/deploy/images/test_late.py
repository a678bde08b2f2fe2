"""SQLAlchemy without its sessions and redis without its clients, until somebody asks: each package's own `__init__.py`,
made so by the builder."""

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
from scripts.images.builder.late import LATE, OtherShape, made_late

SITE: Final = Path(sysconfig.get_path("purelib"))
SESSIONS: Final = "sqlalchemy/ext/asyncio/__init__.py"
_FINDER: Final = """
import importlib.machinery, json, sys
class Finder(importlib.machinery.PathFinder):
    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and name in MADE:
            spec.loader = importlib.machinery.SourceFileLoader(name, MADE[name])
        return spec
sys.meta_path.insert(0, Finder)
"""


def _said(place: Path | None, program: str) -> Any:
    """What `program` prints as JSON; with `place`, where the packages are what the builder makes of them."""
    made = {}
    for number, name in enumerate(LATE if place else ()):
        made[name.removesuffix("/__init__.py").replace("/", ".")] = str(file := Path(f"{place}/{number}.py"))
        file.write_bytes(made_late(name, (SITE / name).read_bytes()))
    words = [sys.executable, "-Bc", f"MADE = {made!r}{_FINDER}{program}"]
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


def test_the_bus_comes_without_clients(tmp_path: Path) -> None:
    program = """
import cortex_core.events.redis
print(json.dumps(sorted(sys.modules)))
"""
    loaded = set(_said(tmp_path, program))

    assert "redis.asyncio.connection" in loaded
    assert loaded & {"redis.client", "redis.asyncio.client", "redis.commands", "redis.cluster"} == set()


def test_what_is_late_is_there_for_who_asks(tmp_path: Path) -> None:
    program = """
import redis.asyncio
from sqlalchemy.ext.asyncio import AsyncSession, session
same = [AsyncSession is session.AsyncSession, redis.asyncio.Redis is redis.asyncio.client.Redis]
print(json.dumps([*same, redis.Redis is redis.client.Redis, "sqlalchemy.orm" in sys.modules]))
"""
    assert _said(tmp_path, program) == [True, True, True, True]


@pytest.mark.parametrize("package", ["redis", "redis.asyncio", "sqlalchemy.ext.asyncio"])
def test_each_has_the_names_that_it_had(tmp_path: Path, package: str) -> None:
    program = f"""
import importlib, types
taken = {{}}
exec("from {package} import *", taken)
package = importlib.import_module("{package}")
listed = {{name: getattr(package, name) for name in dir(package)}}
print(json.dumps([
    sorted(name for name, it in them.items() if name[0] != "_" and not isinstance(it, types.ModuleType))
    for them in (taken, listed)
]))
"""
    assert _said(tmp_path, program) == _said(None, program)


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


def test_no_other_file_is_touched() -> None:
    assert made_late("sqlalchemy/__init__.py", b"from .session import *") == b"from .session import *"


_AS_IT_WAS: Final = "from .scoping import async_scoped_session\nfrom .session import AsyncSession as AsyncSession\n"


@pytest.mark.parametrize(
    "source",
    [
        "",
        _AS_IT_WAS.replace(".scoping", ".scopes"),
        _AS_IT_WAS.replace(".scoping", "..scoping"),
        _AS_IT_WAS.replace("as AsyncSession", "as Session"),
        _AS_IT_WAS.replace("AsyncSession as AsyncSession", "*"),
        f"{_AS_IT_WAS}if True:\n    from .session import close_all_sessions",
        f"{_AS_IT_WAS}from . import session",
        f"{_AS_IT_WAS}import sqlalchemy.ext.asyncio.session",
        f"{_AS_IT_WAS}maker = AsyncSession",
        f"{_AS_IT_WAS}def __getattr__(name): ...",
    ],
)
def test_a_file_of_another_shape_is_refused(source: str) -> None:
    """It would load everything, as before, and nobody would notice."""
    assert made_late(SESSIONS, _AS_IT_WAS.encode())
    with pytest.raises(OtherShape, match=rf"^{SESSIONS}: .*scripts/images/builder/late\.py.*$") as refused:
        made_late(SESSIONS, source.encode())
    assert "\n" not in str(refused.value)


@pytest.fixture
def environment(tmp_path: Path, site: Path) -> Path:
    place = tmp_path / "venv"
    for name in LATE:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes((SITE / name).read_bytes())
    return place


@pytest.mark.parametrize("name", sorted(LATE))
def test_the_layer_has_it_so(environment: Path, tmp_path: Path, name: str) -> None:
    packages.dependencies(environment, tmp_path / "layer", [])

    (made,) = (tmp_path / "layer").rglob(f"site-packages/{name}c")
    assert "__getattr__" in marshal.loads(made.read_bytes()[16:]).co_names


def test_the_build_fails_by_one_line(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (package,) = environment.rglob(SESSIONS)
    package.write_text("from ._all import *")
    monkeypatch.setattr(builder, "ENVIRONMENT", environment)
    monkeypatch.setattr(builder, "LAYERS", tmp_path / "layers")
    monkeypatch.setattr(builder, "_uv", lambda *_: None)

    assert builder.main(["dependencies"]) == 65
    assert capsys.readouterr().err.count("\n") == 1
