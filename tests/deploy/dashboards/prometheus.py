"""A real Prometheus on a folder and a port of its own, scraping once a second, and what one asks it."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cortex_core.testing import free_port
from scripts.observe import RULES, command, configuration


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    @classmethod
    @contextmanager
    def scraping(cls, targets: Mapping[str, str], folder: Path) -> Iterator["Prometheus"]:
        port = free_port()
        (folder / "prometheus.yml").write_text(configuration(targets, RULES, "1s"))
        program = shutil.which("prometheus")
        assert program
        with (folder / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(command(program, folder, port), stdout=log, stderr=log)
            try:
                yield cls(port)
            finally:
                process.terminate()
                process.wait(10)

    def ask(self, path: str, **parameters: str) -> Any:
        """The answer's data. Raises AssertionError with what Prometheus said is wrong."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # not ready yet
                raise
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def find(self, query: str, at: float | None = None) -> list[Any]:
        """The series that `query` finds, now or at a moment (seconds since 1970)."""
        data = self.ask("query", query=query, **({} if at is None else {"time": f"{at:.3f}"}))
        found = data["result"]
        return list(found) if data["resultType"] == "vector" else [found]

    def eventually(self, query: str, count: int = 1, within: float = 60.0) -> None:
        """Until `query` finds so many series, or more."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            try:
                if len(self.find(query)) >= count:
                    return
            except OSError:  # it is just starting
                pass
            time.sleep(0.05)
        raise AssertionError(f"within {within} s {query} never found {count} series")
