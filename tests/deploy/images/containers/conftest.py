"""The images, run: `make e2e-images`, after `make images`. Needs an engine; takes nothing of it but what it started."""

import json
import os
import subprocess
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
SERVICES: dict[str, Any] = tomllib.loads((ROOT / "topology.toml").read_text())["services"]
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--user", "4242:4242", "--tmpfs", "/var/lib/cortex:mode=1777"),
)

collect_ignore_glob = [] if os.environ.get("CORTEX_IMAGES") else ["test_*.py"]


class Engine:
    """`docker`, and what was started by it here, which ends with the test."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.networks: list[str] = []

    def image(self, service: str) -> str:
        return f"cortex-hub/{service}:{os.environ.get('CORTEX_TAG', 'dev')}"

    def said(self, *words: str, given: str = "", check: bool = True) -> str:
        done = subprocess.run(["docker", *words], input=given, capture_output=True, text=True, check=False, timeout=300)
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(words)[:200]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout.strip()

    def python(self, service: str, program: str, *options: str) -> Any:
        """What `program`, run by the image's Python, prints as JSON in its last line."""
        words = ("run", "--rm", "-i", *options, "--entrypoint", "python", self.image(service), "-")
        return json.loads(self.said(*words, given=program).splitlines()[-1])

    def run(self, image: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """The name of a container that runs."""
        name = f"images-{uuid.uuid4().hex[:12]}"
        self.started.append(name)
        self.said("run", "-d", "--name", name, *options, image, *words)
        return name

    def network(self) -> str:
        name = f"images-{uuid.uuid4().hex[:12]}"
        self.said("network", "create", name)
        self.networks.append(name)
        return name

    def state(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.said("inspect", "-f", "{{json .State}}", name))
        return state

    def logs(self, name: str) -> str:
        done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def healthy(self, name: str, patience: float = 300) -> None:
        self.until(name, lambda state: state.get("Health", {}).get("Status") == "healthy", "is healthy", patience)

    def ended(self, name: str, patience: float = 120) -> int:
        """Its exit status."""
        self.until(name, lambda state: not state["Running"], "has ended", patience, ended_is_wrong=False)
        return int(self.state(name)["ExitCode"])

    def until(
        self,
        name: str,
        is_so: Callable[[dict[str, Any]], bool],
        what: str,
        patience: float,
        ended_is_wrong: bool = True,
    ) -> None:
        end = time.monotonic() + patience
        while not is_so(state := self.state(name)):
            gone = ended_is_wrong and not state["Running"]
            assert not gone and time.monotonic() < end, f"never: {name} {what}; {state}\n{self.logs(name)[-3000:]}"
            time.sleep(0.05)

    def end(self) -> None:
        for name in self.started:
            self.said("rm", "-f", "-v", name, check=False)
        for name in self.networks:
            self.said("network", "rm", name, check=False)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.end()


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def services() -> tuple[str, ...]:
    return tuple(SERVICES)


@pytest.fixture
def hardened() -> tuple[str, ...]:
    return HARDENED


@pytest.fixture
def redis(engine: Engine) -> tuple[str, str]:
    """A network, and the name of a Redis on it."""
    network = engine.network()
    engine.run(
        "redis:7-bookworm",
        "redis-server",
        "--appendonly",
        "yes",
        options=("--network", network, "--network-alias", "redis"),
    )
    return network, "redis://redis:6379/0"
