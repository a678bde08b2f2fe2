"""A Compose project of its own, from a fresh clone: for trying docker-compose.yml on a real engine beside whatever
runs.

Owns that nothing is left: containers, volumes, networks, and the images built under the project's tag. Refuses to touch
another project's. Commands run in the clone, with the project's name and ports in their environment.
"""

import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
KILLER: Final = "redis:7-bookworm"  # has a shell, and is there
PORTS: Final = (
    "CORTEX_PORT",
    "PROMETHEUS_PORT",
    "GRAFANA_PORT",
    "JAEGER_PORT",
    "ORDER_PORT",
    "NOTIFICATION_PORT",
    "ANALYTICS_PORT",
    "ANALYTICS_EXPORTER_PORT",
    "STORAGE_PORT",
    "COMPUTE_PORT",
)


class Failed(AssertionError):
    """A command that should have ended well did not."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    send: bytes | None = None,
    seconds: float = 300,
    good: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Raises Failed with what it said, unless `good` is False. A Ctrl-C is ours, not the command's."""
    done = subprocess.run(argv, cwd=cwd, env=env, input=send, capture_output=True, timeout=seconds, check=False)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if good and done.returncode:
        raise Failed(f"{' '.join(argv)}: status {done.returncode}\n{(out + err)[-4000:]}")
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def clone(source: Path, folder: Path) -> Path:
    """HEAD of `source`, as a stranger gets it."""
    run(["git", "clone", "-q", "--no-hardlinks", str(source), str(folder)])
    return folder


def until(true: Callable[[], bool], what: str, seconds: float) -> float:
    """How long it took. A question that cannot be answered yet is a no. Raises Failed."""
    began = time.monotonic()
    while not _so(true):
        if time.monotonic() - began > seconds:
            raise Failed(f"after {seconds:g} s still not so: {what}")
        time.sleep(0.09)
    return time.monotonic() - began


def _so(true: Callable[[], bool]) -> bool:
    try:
        return true()
    except (Failed, OSError, http.client.HTTPException):
        return False


class Project:
    """`folder` is a clone; `more` is added to the environment of every command, as a `.env` would."""

    def __init__(self, folder: Path, word: str, **more: str) -> None:
        self.folder = folder
        self.name = f"compose-e2e-{word}-{secrets.token_hex(3)}"
        self.tag = more.pop("CORTEX_TAG", self.name)
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT") if name in os.environ
        }
        self.env = {
            **kept,
            **ports,
            "COMPOSE_PROJECT_NAME": self.name,
            "CORTEX_TAG": self.tag,
            "GATEWAY_RATE_LIMIT_PER_MINUTE": "0",
            **more,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.env['CORTEX_PORT']}"

    def compose(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("env", self.env)
        return run(["docker", "compose", *words], cwd=self.folder, **options)

    def up(self, *words: str, seconds: float = 600) -> float:
        """Starts it and waits until it is healthy; the seconds that took."""
        began = time.monotonic()
        self.compose("up", "--wait", "--detach", *words, seconds=seconds)
        return time.monotonic() - began

    def shell(self, script: str, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """A page's commands, as a reader runs them: in the clone, files in `folder`, which is $BACKUP."""
        env = self.env | {"BACKUP": str(folder)}
        return run(["bash", "-eu", "-o", "pipefail", "-c", script], cwd=self.folder, env=env, **options)

    def container(self, service: str) -> str:
        (only,) = self.containers(service)
        return only

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", *services).stdout.split()

    def inspect(self, *containers: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *containers]).stdout)
        return found

    def state(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.inspect(self.container(service))[0]["State"]
        return found

    def healthy(self, service: str) -> bool:
        return bool(self.state(service).get("Health", {}).get("Status") == "healthy")

    def kill(self, service: str) -> str:
        """SIGKILL to PID 1 by the number the host knows it by: what the kernel does, and no `docker kill`, after which
        no restart policy acts. When it had started, to tell the next start from it."""
        state = self.state(service)
        hand = [
            "docker",
            "run",
            "--rm",
            "--pid=host",
            "--network=none",
            "--cap-drop=ALL",
            "--cap-add=KILL",
            "--user=0:0",
        ]
        run([*hand, "--entrypoint=sh", KILLER, "-c", f"kill -9 {state['Pid']}"])
        return str(state["StartedAt"])

    def memory(self) -> dict[str, int]:
        """Bytes in use by service, as `docker stats` counts: without what the page cache could give back."""
        ids = self.compose("ps", "--quiet").stdout.split()
        names = {each["Id"]: each["Config"]["Labels"]["com.docker.compose.service"] for each in self.inspect(*ids)}
        form = ["--no-trunc", "--format", "{{.ID}} {{.MemUsage}}"]
        used: dict[str, int] = {}
        for line in run(["docker", "stats", "--no-stream", *form, *ids]).stdout.splitlines():
            one, told = line.split()[:2]
            number, unit = re.fullmatch(r"([\d.]+)(\w+)", told).groups()  # type: ignore[union-attr]
            used[names[one]] = used.get(names[one], 0) + int(float(number) * UNITS[unit])
        return used

    def left(self, *kinds: str) -> list[str]:
        """What of it is still there: of these kinds, or of all."""
        label = f"label=com.docker.compose.project={self.name}"
        found = []
        for kind in kinds or ("container", "volume", "network"):
            wide = ["--all"] if kind == "container" else []
            found += run(["docker", kind, "ls", *wide, "--quiet", "--filter", label]).stdout.split()
        return found

    def remove(self) -> None:
        """Everything of it, also where the clone or half of the project is gone already."""
        with_all = [word for profile in ("chain", "observability") for word in ("--profile", profile)]
        if (self.folder / "docker-compose.yml").exists():
            self.compose(*with_all, "down", "--volumes", "--remove-orphans", "--timeout", "5", good=False)
        label = f"label=com.docker.compose.project={self.name}"
        for kind, verb in (("container", ["rm", "--force", "--volumes"]), ("volume", ["rm"]), ("network", ["rm"])):
            wide = ["--all"] if kind == "container" else []
            names = run(["docker", kind, "ls", *wide, "--quiet", "--filter", label]).stdout.split()
            if names:
                run(["docker", kind, *verb, *names], good=False)

    def remove_images(self) -> None:
        """Those that were built under its tag."""
        wanted = ["--filter", f"reference=cortex-hub/*:{self.tag}", "--format", "{{.Repository}}:{{.Tag}}"]
        names = run(["docker", "image", "ls", *wanted]).stdout.split()
        if names:
            run(["docker", "image", "rm", *names], good=False)


def free_ports(count: int) -> list[int]:
    """Of the loopback interface, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def end_by_any_signal() -> None:
    """SIGTERM ends a run as Ctrl-C does: what it has made is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
