"""Nothing is missing from an image that its service could ask for."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = pytest.mark.timeout(600)  # an engine that is busy with others is slow
ROOT = Path(__file__).parents[4]

_IMPORT = """
import importlib, json, sys
wrong = {}
for name in NAMES:
    try:
        importlib.import_module(name)
    except BaseException as error:
        wrong[name] = [type(error).__name__, getattr(error, "name", None), str(error)[:200]]
print(json.dumps({"wrong": wrong, "loaded": sorted(sys.modules)}))
"""

_ASKED_FOR: Final = ("opentelemetry.sdk.metrics", "pydantic.v1")
"""What redis and FastAPI take where it is there, 2.3 MB in each process, and do as well without: we use neither."""


def _program(names: list[str]) -> str:
    return f"NAMES = {names!r}\n{_IMPORT}"


def _sources(service: str) -> dict[str, Path]:
    """The modules of the hub that the image holds."""
    found = {}
    for package in ("libs/cortex-core", "libs/cortex-contracts", f"services/{service}"):
        source = ROOT / package / "src"
        for path in source.rglob("*.py"):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            if not name.startswith("cortex_core.testing") and "migrations" not in name:
                found[name] = path
    return found


def _imported_late(paths: list[Path]) -> set[str]:
    """What the hub's sources import anywhere, within functions too."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return names


def _locked(service: str) -> set[str]:
    lock = (ROOT / "requirements" / f"{service}.lock").read_text()
    return {
        name.lower().replace("_", "-") for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", lock, re.MULTILINE)
    }


def _modules_of(distributions: set[str]) -> set[str]:
    """What these are by their own lists of files; those of this environment, where nothing was left out."""
    modules = set()
    for name in distributions:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # locked for another Python or machine
        for path in (Path(str(file)) for file in files if file.suffix in {".py", ".so"}):
            parts = [*path.parts[:-1], path.name.partition(".")[0]]
            modules.add(".".join(parts).removesuffix(".__init__"))
    return modules


def test_every_module_of_the_hub_imports(engine: Any, service: str) -> None:
    """But those of the core that need an extra which this service has not."""
    promised = _modules_of(_locked(service))

    wrong = engine.python(service, _program(sorted(_sources(service))))["wrong"]

    assert {name: why for name, why in wrong.items() if not name.startswith("cortex_core.")} == {}
    assert {name: why for name, why in wrong.items() if why[0] != "ModuleNotFoundError" or why[1] in promised} == {}


def test_what_an_import_loads_here_it_loads_there(engine: Any, service: str) -> None:
    """Modules of others, down to each that is loaded in an environment where nothing was left out."""
    sources = _sources(service)
    promised = _modules_of(_locked(service))
    there = engine.python(service, _program(sorted(sources)))
    names = sorted((set(sources) | _imported_late(list(sources.values()))) - set(there["wrong"]))
    words = [sys.executable, "-c", _program(names)]
    here = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    loaded = sorted(name for name in promised.intersection(here["loaded"]) if not name.startswith(_ASKED_FOR))

    wrong = engine.python(service, _program(loaded))["wrong"]

    assert len(loaded) > 300
    assert {name: why for name, why in wrong.items() if why[1] is None or why[1] in promised} == {}


_OPENAPI = "import importlib, json; print(json.dumps(importlib.import_module('cortex_{}.main').app().openapi()))"


def test_it_documents_the_same_interface(engine: Any, service: str) -> None:
    """Descriptions come from docstrings: those that matter are there."""
    program = _OPENAPI.format(service)
    environment = {"CORTEX_ENV": "development", "PATH": ""}
    words = [sys.executable, "-c", program]
    here = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout

    assert engine.python(service, program, "-e", "CORTEX_ENV=development") == json.loads(here.splitlines()[-1])


_SYSTEM = """
import hashlib, json, socket, sqlite3, ssl, sys, time, zlib, zoneinfo, lzma, bz2, ctypes, uuid, decimal, getpass
import certifi
from datetime import datetime
time.tzset()
print(json.dumps({
    "authorities": len(ssl.create_default_context().get_ca_certs()),
    "certifi": len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()),
    "berlin": datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().total_seconds(),
    "local": time.tzname[0],
    "localhost": socket.getaddrinfo("localhost", 80)[0][4][0],
    "sqlite": sqlite3.connect(":memory:").execute("select json('[1]')").fetchone()[0],
    "encoding": [sys.getfilesystemencoding(), sys.stdout.encoding.lower()],
    "who": getpass.getuser(),
}))
"""


def test_it_knows_names_times_authorities_and_text(engine: Any, service: str) -> None:
    found = engine.python(service, _SYSTEM, "-e", "TZ=Asia/Tokyo")

    assert found.pop("certifi") == found.pop("authorities") > 50
    assert found.pop("localhost") in {"127.0.0.1", "::1"}
    assert found == {
        "berlin": 7200.0, "local": "JST", "sqlite": "[1]", "encoding": ["utf-8", "utf-8"], "who": "cortex",
    }  # fmt: skip


_TRACEBACK = """
import json, traceback
import cortex_core.kernel.ids as ours
import redis.asyncio.connection as theirs
def told(call):
    try:
        call()
    except BaseException:
        return traceback.format_exc()
source = ours.__loader__.get_source(ours.__name__)
print(json.dumps([told(lambda: theirs.parse_url("nonsense://")), ours.__file__, source]))
"""


def test_a_traceback_has_lines(engine: Any) -> None:
    theirs, file, source = engine.python("order", _TRACEBACK)

    assert re.search(
        r'File "/opt/venv/lib/python3\.\d+/site-packages/redis/[a-z/]+\.py", line \d{2,}, in parse_url', theirs
    )
    assert file.endswith("cortex_core/kernel/ids.py")
    assert source == (ROOT / "libs/cortex-core/src/cortex_core/kernel/ids.py").read_text()


_CODECS = """
import io, json
from PIL import Image
from cortex_compute.adapters import codec
from cortex_compute.domain.image import ImageFormat
sizes = {}
for format in ImageFormat:
    written = io.BytesIO()
    Image.new("RGB", (31, 17), (200, 30, 60)).save(written, format.value)
    sizes[format.value] = Image.open(io.BytesIO(written.getvalue()), formats=[format.value]).convert("RGB").size
print(json.dumps(sizes))
"""


def test_compute_reads_and_writes_each_of_its_formats(engine: Any) -> None:
    assert engine.python("compute", _CODECS) == {"png": [31, 17], "jpeg": [31, 17], "webp": [31, 17]}


@pytest.mark.parametrize("name", ["order", "analytics", "storage"])
def test_both_database_drivers_are_there(engine: Any, name: str) -> None:
    program = (
        "import json, asyncpg, aiosqlite, sqlalchemy.dialects.postgresql.asyncpg, sqlalchemy.dialects.sqlite.aiosqlite"
    )

    assert engine.python(name, f"{program}; print(json.dumps(asyncpg.__name__))") == "asyncpg"
