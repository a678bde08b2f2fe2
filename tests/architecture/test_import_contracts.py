"""Each import contract of pyproject.toml holds, and is seen to fail on a violation injected into a copy of the tree."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = "libs/cortex-core/src/cortex_core"

VIOLATIONS = {
    "libraries": ("services/order/src/cortex_order/domain.py", "import cortex_storage.settings"),
    "core": (f"{CORE}/observability/health.py", "import cortex_core.resilience.retry"),
    "service-shape": ("services/order/src/cortex_order/helpers.py", "STRAY = True"),
    "pure-use-cases": ("services/order/src/cortex_order/usecases/placing.py", "import fastapi"),
    "chassis-http": (f"{CORE}/events/envelope.py", "import starlette.requests"),
    "settings": ("services/order/src/cortex_order/adapters.py", "import cortex_order.settings"),
    "redis": (f"{CORE}/eventsourcing/store.py", "import redis"),
    "cli": ("cli/src/cortex_cli/main.py", "import cortex_order.domain"),
}


def contracts() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]]


def lint(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    sources = [*tree.glob("libs/*/src"), *tree.glob("services/*/src"), tree / "cli/src"]
    paths = [str(source) for source in sources]
    program = f"import sys; sys.path[:0] = {paths!r}; from importlinter.cli import lint_imports_command as lint; lint()"
    command = [sys.executable, "-c", program, "--no-cache", "--contract", contract]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to break."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for folder in ("libs", "services", "cli"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("tests", "__pycache__"), symlinks=True
        )
    return copy


def test_every_contract_has_its_violation() -> None:
    assert set(VIOLATIONS) == set(contracts())


@pytest.mark.parametrize("contract", sorted(VIOLATIONS))
def test_a_contract_holds_and_fails_on_a_violation(contract: str, tree: Path) -> None:
    place, line = VIOLATIONS[contract]
    broken = tree / place
    before = broken.read_text() if broken.exists() else None

    sound = lint(tree, contract)
    broken.write_text(f"{before or ''}\n{line}\n")
    try:
        violated = lint(tree, contract)
    finally:
        broken.write_text(before) if before is not None else broken.unlink()

    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert violated.returncode == 1, violated.stdout + violated.stderr
    assert "BROKEN" in violated.stdout
