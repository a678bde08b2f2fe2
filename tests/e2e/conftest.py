"""The real hub: Redis and six services as processes, started by the real command on free ports, looked at over HTTP."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cortex_core.testing import RedisServer, free_row

# The browser's journeys take minutes and need Chromium: `make e2e` asks for them, `make test` does not.
collect_ignore = [] if os.environ.get("CORTEX_E2E") else ["console"]

UNLIMITED = "GATEWAY_RATE_LIMIT_PER_MINUTE"
SERVICES = ("gateway", "order", "notification", "analytics", "storage", "compute")


class RealHub:
    """One state folder, a row of ports, and the commands run on them in a stranger's environment.

    The limit of a hundred requests a minute is lifted, in `env`: these tests are one client that asks all the time.
    """

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.port_base = free_row(len(SERVICES) + 1)
        self.env = {"HOME": str(folder), "PATH": os.environ["PATH"], UNLIMITED: "1000000", **env}

    def cortex(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cortex_cli.main", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def up(self, *arguments: str) -> None:
        result = self.cortex("up", "--detach", f"--port-base={self.port_base}", *arguments)
        assert result.returncode == 0, result.stdout + result.stderr

    def up_in_front(self, *arguments: str) -> subprocess.Popen[str]:
        """Not detached; returns when it is ready."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cortex_cli.main", "up", f"--port-base={self.port_base}", *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.eventually(lambda: process.poll() is not None or self.status()["phase"] == "ready", within=60)
        assert process.poll() is None, process.communicate()
        return process

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.cortex("status", "--json").stdout)
        return told

    def row(self, name: str) -> dict[str, Any]:
        told = self.status()
        return next(row for row in [*told["services"], *told["foundation"]] if row["name"] == name)

    def pids(self) -> dict[str, int]:
        told = self.status()
        return {row["name"]: row["pid"] for row in [*told["services"], *told["foundation"]]}

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.port_base + SERVICES.index(service)}"

    def ask(self, service: str, path: str, body: Any = None, timeout: float = 10) -> tuple[int, dict[str, str], Any]:
        """Status, headers (names in lower case) and the JSON body. A body makes it a POST."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url(service) + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, _lower(answer.headers), json.load(answer)
        except urllib.error.HTTPError as problem:
            with problem:
                return problem.code, _lower(problem.headers), json.load(problem)

    def place(self, token: str = "tok_ok") -> str:
        """An order through the gateway; its id."""
        body = {
            "customerId": "cus_e2e",
            "currency": "EUR",
            "items": [{"sku": "book", "quantity": 2, "unitPrice": 1250}],
            "paymentToken": token,
        }
        status, _, placed = self.ask("gateway", "/api/orders", body)
        assert status == 201, placed
        return str(placed["orderId"])

    def order(self, order_id: str) -> dict[str, Any]:
        """From the order service itself: the gateway counts what a client asks."""
        status, _, found = self.ask("order", f"/orders/{order_id}")
        assert status == 200, found
        return dict(found)

    def counted(self) -> dict[str, int]:
        return dict(self.ask("analytics", "/analytics/metrics")[2]["orders"])

    @staticmethod
    def eventually(condition: Callable[[], Any], within: float = 20.0) -> Any:
        """The first truthy answer of `condition`. Fails when there is none in time (seconds)."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {within} s: {condition}")

    @staticmethod
    def runs(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@pytest.fixture
def own_hub() -> Iterator[RealHub]:
    """A hub of this test's own, not yet started."""
    with _folder() as folder:
        hub = RealHub(folder)
        yield hub
        hub.cortex("down")


@pytest.fixture(scope="session")
def make_hub() -> Callable[..., AbstractContextManager[RealHub]]:
    """`with make_hub(GATEWAY_…="…") as hub`: not yet started; its processes end with the block."""

    @contextmanager
    def make(**env: str) -> Iterator[RealHub]:
        with _folder() as folder:
            hub = RealHub(folder, **env)
            try:
                yield hub
            finally:
                hub.cortex("down")

    return make


@pytest.fixture(scope="session")
def console_hub(make_hub: Callable[..., AbstractContextManager[RealHub]]) -> Iterator[RealHub]:
    """One hub for all journeys of the browser, which leave it ready."""
    with make_hub(GATEWAY_GRAFANA_URL="http://127.0.0.1:9/dashboards?a=1&b=2") as hub:
        hub.up("--restart")
        yield hub


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """The Redis that `hub` uses: ours to stop and start."""
    with RedisServer.running() as server:
        yield server


@pytest.fixture(scope="module")
def shared_hub(redis: RedisServer) -> Iterator[RealHub]:
    """A hub that runs with --restart; every test leaves it ready."""
    with _folder() as folder:
        hub = RealHub(folder, CORTEX_REDIS_URL=redis.url)
        hub.up("--restart")
        yield hub
        hub.cortex("down")


class _folder:  # noqa: N801 - a context manager
    """Short: a Unix socket's path has room for a hundred bytes, and pytest's folders are longer."""

    def __enter__(self) -> Path:
        self._path = Path(tempfile.mkdtemp(prefix="hub-"))
        return self._path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._path)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
