"""One release of the chart in a namespace, and its clients: what the tests do to it, in the words of who runs a hub."""

import base64
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.kubernetes.cluster import Failed, Namespace, Object, eventually, ready

ROOT: Final = Path(__file__).parents[4]
CHART: Final = ROOT / "helm" / "cortex-hub"
VALUES: Final = Path(__file__).with_name("values.yaml")
LOAD: Final = ROOT / "scripts" / "kubernetes" / "programs" / "load.py"
SERVICES: Final = ("gateway", "order", "notification", "analytics", "storage", "compute")
NAME: Final = "hub"
_AFTERWARDS: Final = 3  # reports of the load, one a second, in which what a block did may still show


@dataclass(slots=True)
class Seen:
    """What clients saw from the start of their load to its end."""

    requests: dict[str, int]
    failed: int
    failures: list[str]
    slowest: float
    orders: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.requests.values())

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.requests.items()))
        return f"{self.failed} failed of {self.total} ({kinds}), slowest {self.slowest:.2f} s"


@dataclass(frozen=True, slots=True)
class Release:
    """The release `hub`."""

    namespace: Namespace
    repository: str
    tag: str

    @property
    def _arguments(self) -> list[str]:
        images = [f"image.repository={self.repository}", f"image.tag={self.tag}"]
        return [NAME, str(CHART), "-f", str(VALUES), *(part for each in images for part in ("--set-string", each))]

    def install(self, *arguments: str) -> None:
        self.namespace.helm("install", *self._arguments, "--wait", "--timeout", "6m", *arguments)

    def upgrade(self, *arguments: str, wait: bool = True) -> None:
        """To the values of the file and `arguments`, whatever was set before."""
        waits = ["--wait", "--timeout", "6m"] if wait else []
        self.namespace.helm("upgrade", *self._arguments, *waits, *arguments)

    def uninstall(self) -> None:
        with contextlib.suppress(Failed):
            self.namespace.helm("uninstall", NAME, "--wait", "--timeout", "2m", timeout=150)

    def explain(self) -> None:
        """Which pods are not ready, for who reads a failed run."""
        for pod in self.namespace.get("pods")["items"]:
            phase = pod["status"].get("phase")
            if phase not in {"Succeeded", "Running"} or (phase == "Running" and not ready(pod)):
                name = pod["metadata"]["name"]
                with contextlib.suppress(Failed):
                    said = self.namespace.kubectl("logs", name, "--tail=5", "--all-containers")[-1500:]
                    sys.stderr.write(f"{name} {phase} {said}\n")

    def token(self) -> str:
        return base64.b64decode(self.namespace.secret(f"{NAME}-token")["token"]).decode()

    def restart(self, *services: str) -> int:
        """Every pod of them replaced, one service after the other; how many pods that were."""
        replaced = 0
        for service in services:
            before = {pod["metadata"]["name"] for pod in self.namespace.pods(service)}
            self.namespace.kubectl("rollout", "restart", f"deployment/{NAME}-{service}")
            self.settled(service)
            after = {pod["metadata"]["name"] for pod in self.namespace.pods(service)}
            replaced += len(before - after)
        return replaced

    def settled(self, *services: str, within: int = 240) -> None:
        for service in services:
            self.namespace.kubectl(
                "rollout", "status", f"deployment/{NAME}-{service}", f"--timeout={within}s", timeout=within + 10
            )
        for service in services:  # the old ones are gone too: their last requests belong to this roll-out
            eventually(
                lambda service=service: all(  # type: ignore[misc]
                    "deletionTimestamp" not in pod["metadata"]
                    for pod in self.namespace.get("pods", "-l", f"app.kubernetes.io/component={service}")["items"]
                ),
                within=90,
                what=f"the old pods of {service} to end",
            )

    @contextmanager
    def under_load(self, **told: str) -> Iterator[Seen]:
        """Clients in a Job of the namespace, from before the block to after it. What they saw is there after it."""
        found = Seen({}, 0, [], 0.0)
        self._start_load(told)
        try:
            eventually(self._lines, within=60, what="the load to begin")
            yield found
            told = len(self._lines()) + _AFTERWARDS
            eventually(lambda: len(self._lines()) >= told, within=60, what="the load to tell of the time after it")
            lines = [json.loads(line) for line in self._lines()]
            found.requests, found.failed = lines[-1]["requests"], lines[-1]["failed"]
            found.failures, found.slowest = lines[-1]["failures"], lines[-1]["slowest"]
            found.orders += [order for line in lines for order in line["orders"]]
        finally:
            self.namespace.kubectl("delete", "job/load", "configmap/load", "--grace-period=1", "--wait=true")

    def _lines(self) -> Sequence[str]:
        try:
            said = self.namespace.kubectl("logs", "job/load")
        except Failed:
            return []  # not there yet
        return [line for line in said.splitlines() if line.startswith("{") and line.endswith("}")]

    def _start_load(self, told: dict[str, str]) -> None:
        env = {"HUB_URL": f"http://{NAME}-gateway:3000", "HUB_TOKEN_FILE": "/load/secret/token", **told}
        self.namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "load"},
                "data": {"load.py": LOAD.read_text()},
            },
            job(
                "load",
                self.image("gateway"),
                ["python", "/load/program/load.py"],
                env,
                program="load",
                token=f"{NAME}-token",
            ),
        )

    def image(self, service: str) -> str:
        return f"{self.repository}/{service}:{self.tag}"

    def end_of(self, orders: Sequence[str], *, within: float = 90) -> str:
        """What became of `orders`, in words, when each is at its end. Raises AssertionError where one is not."""
        with self.open() as door:
            found: dict[str, int] = {}

            def at_an_end() -> bool:
                nonlocal found
                found = door.statuses(orders)
                assert "lost" not in found, f"{found['lost']} acknowledged orders are lost"
                return set(found) <= {"completed", "failed", "cancelled"}

            eventually(at_an_end, within=within, what="every order's end")
        return ", ".join(f"{count} {status}" for status, count in sorted(found.items()))

    @contextmanager
    def open(self) -> Iterator["Door"]:
        with self.namespace.forwarded(f"service/{NAME}-gateway", 3000) as url:
            yield Door(url, self.token())


@dataclass(frozen=True, slots=True)
class Door:
    """The hub through a port-forward: for what may be asked again."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        return self._ask(urllib.request.Request(f"{self.url}{path}"))

    def post(self, path: str, body: bytes, kind: str) -> Any:
        return self._ask(urllib.request.Request(f"{self.url}{path}", body, {"Content-Type": kind}))

    def _ask(self, request: urllib.request.Request) -> Any:
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def statuses(self, orders: Sequence[str]) -> dict[str, int]:
        """How many of `orders` have which status; `lost` are those that the hub does not know."""
        known: dict[str, str] = {}
        page = self.get("/api/orders?limit=100")
        while True:
            known |= {order["orderId"]: order["status"] for order in page["orders"]}
            if page["nextCursor"] is None:
                break
            page = self.get(f"/api/orders?limit=100&cursor={page['nextCursor']}")
        found: dict[str, int] = {}
        for order in orders:
            status = known.get(order, "lost")
            found[status] = found.get(status, 0) + 1
        return found

    def demo(self, out: Path) -> subprocess.CompletedProcess[str]:
        """The whole journey. The token goes by the environment, as a person would hand it over."""
        import os

        return subprocess.run(
            [sys.executable, "-m", "cortex_cli.main", "demo", "--url", self.url, "--out", str(out)],
            env={"HOME": str(out), "PATH": os.environ["PATH"], "CORTEX_TOKEN": self.token},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


def job(
    name: str,
    image: str,
    command: Sequence[str],
    env: dict[str, str],
    *,
    program: str,
    token: str | None = None,
) -> Object:
    """A Job of one pod that Pod Security "restricted" lets in; `program` is the ConfigMap mounted at /load/program."""
    volumes: list[Object] = [{"name": "program", "configMap": {"name": program}}]
    mounts: list[Object] = [{"name": "program", "mountPath": "/load/program"}]
    if token is not None:
        volumes.append(
            {"name": "secret", "secret": {"secretName": token, "items": [{"key": "token", "path": "token"}]}}
        )
        mounts.append({"name": "secret", "mountPath": "/load/secret"})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"cortex-hub/client": "true", "app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 10001,
                        "runAsGroup": 10001,
                        "fsGroup": 10001,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": name,
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "command": list(command),
                            "env": [{"name": key, "value": value} for key, value in env.items()],
                            "volumeMounts": mounts,
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                    "volumes": volumes,
                },
            },
        },
    }
