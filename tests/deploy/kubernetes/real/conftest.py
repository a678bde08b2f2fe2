"""The chart on a real cluster: one release in a namespace of its own, looked at by one test after the other.

CORTEX_TAG             tag of the six images (dev)
CORTEX_IMAGES          what stands before the service's name (cortex-hub)
CORTEX_LOAD_IMAGES     a command that brings images onto the nodes; it is given their names
CORTEX_BEFORE_CLUSTER  a command to run first, such as one that offers used volumes again
"""

import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.kubernetes.cluster import Namespace, NoCluster, require

from .release import SERVICES, Release
from .sightings import Sightings

HERE = Path(__file__).parent
_SEEN = pytest.StashKey[Sightings]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_SEEN] = Sightings()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_SEEN].table():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def seen(pytestconfig: pytest.Config) -> Sightings:
    return pytestconfig.stash[_SEEN]


@pytest.fixture(scope="session")
def images() -> tuple[str, str]:
    """What stands before a service's name, and the tag. They are on the nodes."""
    repository, tag = os.environ.get("CORTEX_IMAGES", "cortex-hub"), os.environ.get("CORTEX_TAG", "dev")
    command = os.environ.get("CORTEX_LOAD_IMAGES")
    if command:
        wanted = [f"{repository}/{service}:{tag}" for service in SERVICES]
        subprocess.run(
            [*shlex.split(command), *wanted, "redis:7-bookworm", "postgres:16-bookworm"], check=True, timeout=500
        )
    return repository, tag


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    try:
        require()
    except NoCluster as missing:
        pytest.exit(f"make e2e-k8s: {missing}", returncode=69)
    there = os.environ.get("CORTEX_E2E_NAMESPACE")
    if there:
        yield Namespace(there)
        return
    before = os.environ.get("CORTEX_BEFORE_CLUSTER")
    if before:
        subprocess.run(shlex.split(before), check=True, timeout=120)
    with Namespace.made(f"cluster-{secrets.token_hex(3)}") as made:
        yield made


@pytest.fixture(scope="session")
def hub(namespace: Namespace, images: tuple[str, str]) -> Iterator[Release]:
    """Installed, with every pod ready."""
    release = Release(namespace, *images)
    if os.environ.get("CORTEX_E2E_NAMESPACE"):
        yield release
        return
    try:
        release.install()
        yield release
    finally:
        release.explain()
        release.uninstall()
