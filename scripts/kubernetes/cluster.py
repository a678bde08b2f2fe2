"""kubectl and helm, each call with an end: what a test asks of the cluster that KUBECONFIG names, in one namespace.

Owns the namespace it makes, enforcing Pod Security "restricted", and takes it away again. Refuses to know the chart.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

Object = dict[str, Any]
T = TypeVar("T")

RESTRICTED: Final = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}


class NoCluster(Exception):
    """One line: what is missing."""


class Failed(Exception):
    """A command ended with a status other than 0, or not at all."""

    def __init__(self, argv: list[str], said: str) -> None:
        super().__init__(f"{' '.join(argv)}: {said.strip()[-2000:]}")
        self.said = said


def require() -> None:
    """Raises NoCluster."""
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            raise NoCluster(f"{program} is not on the PATH")
    if not os.environ.get("KUBECONFIG"):
        raise NoCluster("KUBECONFIG names no cluster")
    try:
        run(["kubectl", "get", "--raw", "/readyz", "--request-timeout=5s"], timeout=15)
    except Failed as failed:
        raise NoCluster(f"the cluster that KUBECONFIG names does not answer: {failed.said.strip()[:200]}") from None


def run(argv: list[str], *, timeout: float, given: str | None = None) -> str:
    """What it printed. Raises Failed."""
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(argv, f"did not end within {timeout:g} s") from None
    if done.returncode != 0:
        raise Failed(argv, done.stdout + done.stderr)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of the cluster, and everything asked in it."""

    name: str

    @classmethod
    @contextmanager
    def made(cls, name: str) -> Iterator["Namespace"]:
        """There from here to the end of the block, whatever ends it. Raises Failed where it is there already."""
        run(["kubectl", "create", "namespace", name], timeout=30)
        try:
            run(
                ["kubectl", "label", "namespace", name, *(f"{key}={value}" for key, value in RESTRICTED.items())],
                timeout=30,
            )
            yield cls(name)
        finally:
            run(["kubectl", "delete", "namespace", name, "--wait=true", "--timeout=170s"], timeout=180)

    def kubectl(self, *arguments: str, given: str | None = None, timeout: float = 60) -> str:
        return run(["kubectl", "-n", self.name, *arguments], given=given, timeout=timeout)

    def helm(self, *arguments: str, given: str | None = None, timeout: float = 420) -> str:
        return run(["helm", "-n", self.name, *arguments], given=given, timeout=timeout)

    def get(self, *arguments: str) -> Object:
        found: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, *objects: Object) -> None:
        self.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def pods(self, component: str) -> list[Object]:
        """Those that are not on their way out."""
        found = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secret(self, name: str) -> dict[str, str]:
        """As base64: to compare, not to read."""
        return dict(self.get("secret", name)["data"])

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """`http://127.0.0.1:…`, which leads to one pod of `target` for as long as that lives."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            here = free.getsockname()[1]
        argv = ["kubectl", "-n", self.name, "port-forward", target, f"{here}:{port}"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if "Forwarding from" not in said:
                raise Failed(argv, said)
            yield f"http://127.0.0.1:{here}"
        finally:
            process.terminate()
            process.communicate(timeout=10)


def eventually(look: Callable[[], T], *, within: float, every: float = 1.0, what: str = "") -> T:
    """The first true answer of `look`. Raises AssertionError with the last one."""
    end = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {what or look}; last seen: {found!r}")
        time.sleep(every)
    return found


def ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
