"""`pip install cortex-core` without extras: what works then works with nothing but the standard library.

Two proofs. A subprocess without site-packages imports and uses it; and no import statement of these packages, not even
one inside a function that no test calls, names anything third-party.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import cortex_core

PACKAGE = Path(cortex_core.__file__).parent
BARE = ("kernel", "resilience", "events", "actors", "ratelimit", "asgi", "eventsourcing", "security")
NEEDS_AN_EXTRA = {
    "cortex_core.asgi.compression.extra",
    "cortex_core.asgi.http_cache.redis",
    "cortex_core.events.redis",
    "cortex_core.eventsourcing.migrations",
    "cortex_core.eventsourcing.sql",
    "cortex_core.ratelimit.redis",
    "cortex_core.resilience.redis",
    "cortex_core.security.development",
    "cortex_core.security.jwks",
    "cortex_core.security.pem",
    "cortex_core.security.redis",
    "cortex_core.security.signatures",
}


def modules() -> dict[str, Path]:
    """Every module that a bare install can import, by name."""
    found = {}
    for folder in BARE:
        for path in (PACKAGE / folder).rglob("*.py"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not any(name == extra or name.startswith(f"{extra}.") for extra in NEEDS_AN_EXTRA):
                found[name] = path
    return found


def foreign_imports(source: str) -> set[str]:
    """What `source` imports, at any depth, that is neither the standard library nor this package."""
    return {
        name
        for name in _imported(ast.parse(source))
        if name.partition(".")[0] not in sys.stdlib_module_names and name.partition(".")[0] != "cortex_core"
    }


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def bare_python(program: str) -> subprocess.CompletedProcess[str]:
    """Runs `program` in a Python that finds the standard library and this package's sources, and nothing else."""
    path = f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", path + program]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_the_distribution_requires_nothing() -> None:
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]

    assert project["dependencies"] == []


@pytest.mark.parametrize("name", modules())
def test_a_bare_module_imports_the_standard_library_only(name: str) -> None:
    assert foreign_imports(modules()[name].read_text()) == set()


@pytest.mark.parametrize(
    "source",
    ["import redis", "from orjson import dumps", "def f():\n    import structlog.testing", "import os, aiohttp"],
)
def test_the_check_notices_what_is_foreign(source: str) -> None:
    assert len(foreign_imports(source)) == 1


def test_the_bare_python_has_no_third_party_packages() -> None:
    ended = bare_python("import pydantic")

    assert ended.returncode != 0
    assert "No module named 'pydantic'" in ended.stderr


def test_every_bare_module_can_be_imported() -> None:
    names = sorted(modules())
    assert {
        "cortex_core.kernel.context",
        "cortex_core.resilience.breaker.circuit",
        "cortex_core.resilience.retry",
        "cortex_core.events.memory",
    } <= set(names)

    ended = bare_python(f"import importlib\nfor name in {names!r}: importlib.import_module(name)\nprint('all')")

    assert (ended.stdout, ended.stderr) == ("all\n", "")


def test_a_retry_and_the_memory_bus_work() -> None:
    ended = bare_python(
        """
import asyncio
from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import current, use_context
from cortex_core.resilience import RetryExecutor

async def main():
    failures = [ConnectionError("down"), TimeoutError("slow")]
    async def call():
        if failures:
            raise failures.pop()
        return "answered"
    print(await RetryExecutor(max_attempts=3, base_delay=0.001).execute(call))

    bus, heard = MemoryEventBus(), asyncio.get_running_loop().create_future()
    async def handler(event):
        heard.set_result((event.type, event.data["total"], event.tenant))
    await bus.consume("analytics", ["order"], handler)
    with use_context(tenant="acme"):
        await bus.publish([CloudEvent.about("order.created", source="/order", subject="ord_1", data={"total": 2500})])
    print(*await asyncio.wait_for(heard, 10))
    await bus.aclose()

asyncio.run(main())
"""
    )

    assert (ended.stdout, ended.stderr) == ("answered\norder.created 2500 acme\n", "")
