"""The hub under Compose, on the engine that is there: one project for most tests, in the order in which they stand.

What was measured is printed as a table at the end. Everything made here is removed, after Ctrl-C and SIGTERM too.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.compose.project import Project, clone, end_by_any_signal

ROOT = Path(__file__).parents[4]
_SEEN: list[tuple[str, str]] = []

Note = Callable[[str, str], None]


def pytest_configure() -> None:
    end_by_any_signal()


@pytest.fixture(scope="session")
def note() -> Note:
    """A line of the table: what, and the figure."""
    return lambda what, figure: _SEEN.append((what, figure))


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone of HEAD, as a stranger gets it."""
    folder = tmp_path_factory.mktemp("compose")
    yield clone(ROOT, folder / "cortex-hub")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def hub(fresh: Path, note: Note) -> Iterator[Project]:
    """Built and started by one command."""
    project = Project(fresh, "hub")
    try:
        note("docker compose up --build --wait, a fresh clone", f"{project.up('--build', seconds=1400):.0f} s")
        yield project
    finally:
        project.remove()
        project.remove_images()
    assert project.left() == []


@pytest.fixture
def another(fresh: Path, hub: Project) -> Iterator[Callable[..., Project]]:
    """Further projects, of the same images."""
    made: list[Project] = []

    def make(word: str, **env: str) -> Project:
        made.append(Project(fresh, word, CORTEX_TAG=hub.tag, **env))
        return made[-1]

    yield make
    for project in made:
        project.remove()
    assert [left for project in made for left in project.left()] == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _SEEN:
        width = max(len(what) for what, _ in _SEEN)
        terminalreporter.section("what was seen")
        for what, figure in _SEEN:
            terminalreporter.line(f"{what:<{width}}  {figure}")
