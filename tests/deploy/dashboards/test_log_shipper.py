"""The log shipper in a real collector, killed, with Loki away, and behind: every line arrives, at least once."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cortex_core.testing import free_port

from .collecting import FOLDER, eventually, program
from .loki import Lines, loki

COMPOSE = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text())
GATES = [word for word in COMPOSE["services"]["log-collector"]["command"] if word.startswith("--feature-gates")]
LABELS = {"com.docker.compose.project": "cortex-hub", "com.docker.compose.service": "order"}
SOON = "yaml:exporters::otlp_http::retry_on_failure: {initial_interval: 50ms, max_interval: 100ms}"


@dataclass
class Shipper:
    """logs.yml over a folder that stands for Docker's, with what Docker writes there."""

    folder: Path
    port: int = field(default_factory=free_port)
    told: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.docker = self.folder / "containers" / "c1" / "c1-json.log"
        self.docker.parent.mkdir(parents=True)
        (self.folder / "state").mkdir()
        self.log = self.folder / "shipper.log"

    def write(self, *messages: str, project: str = "cortex-hub") -> None:
        with self.docker.open("a") as out:
            for message in messages:
                line = {"time": "2026-11-26T09:00:00.000001Z", "level": "info", "service": "order", "message": message}
                text = json.dumps(line, separators=(",", ":")) + "\n"
                labels = LABELS | {"com.docker.compose.project": project}
                out.write(json.dumps({"log": text, "stream": "stdout", "attrs": labels, "time": line["time"]}) + "\n")
            self.said += [message for message in messages if project == "cortex-hub"]

    def rotate(self) -> None:
        self.docker.rename(self.docker.with_name(f"{self.docker.name}.1"))

    def start(self) -> None:
        includes = [each.replace("/var/lib/docker/containers", str(self.folder / "containers")) for each in _includes()]
        here = [
            str(FOLDER / "logs.yml"),
            f"yaml:receivers::file_log::include: {json.dumps(includes)}",
            f"yaml:extensions::file_storage::directory: {self.folder / 'state'}",
            SOON,
            *self.told,
        ]
        env = os.environ | {"LOKI_ENDPOINT": f"http://127.0.0.1:{self.port}/otlp"}
        with self.log.open("ab") as out:
            words = [program(), *GATES, *(f"--config={each}" for each in here)]
            self.process = subprocess.Popen(words, stdout=out, stderr=out, env=env)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def state(self) -> bytes:
        """How far it has read, and what waits."""
        return b"".join(each.read_bytes() for each in sorted((self.folder / "state").iterdir()))


def _includes() -> list[str]:
    found: list[str] = yaml.safe_load((FOLDER / "logs.yml").read_text())["receivers"]["file_log"]["include"]
    return found


@pytest.fixture
def shipper(tmp_path: Path) -> Iterator[Shipper]:
    made = Shipper(tmp_path)
    yield made
    made.end()


def test_what_is_written_before_around_and_after_a_kill_arrives(shipper: Shipper) -> None:
    lines = Lines()
    with loki(shipper.port, lines):
        shipper.write("A")
        shipper.start()
        eventually(lambda: "A" in lines.seen(), shipper.log)
        for turn in range(4):
            before = shipper.state()
            shipper.write(*(f"B-{turn}-{number}" for number in range(20)))
            eventually(lambda before=before: shipper.state() != before, shipper.log, every=0.001)
            shipper.end(signal.SIGKILL)  # where it has read them, and nobody has got them
            shipper.write(f"C-{turn}")
            shipper.start()
            shipper.write(f"D-{turn}")
            eventually(lambda: lines.seen().keys() >= set(shipper.said), shipper.log)


def test_what_was_rotated_away_while_nobody_read_arrives(shipper: Shipper) -> None:
    lines = Lines()
    with loki(shipper.port, lines):
        shipper.write("A")
        shipper.start()
        eventually(lambda: "A" in lines.seen(), shipper.log)
        shipper.end()
        shipper.write("B")
        shipper.rotate()
        shipper.write("C")

        shipper.start()

        eventually(lambda: lines.seen().keys() >= {"A", "B", "C"}, shipper.log)


def test_a_restart_that_was_asked_for_repeats_nothing(shipper: Shipper) -> None:
    lines = Lines()
    with loki(shipper.port, lines):
        shipper.start()
        for turn in range(3):
            shipper.write(f"B-{turn}")
            eventually(lambda turn=turn: f"B-{turn}" in lines.seen(), shipper.log)
            shipper.end(signal.SIGTERM)
            shipper.write(f"C-{turn}")
            shipper.start()
            eventually(lambda turn=turn: f"C-{turn}" in lines.seen(), shipper.log)

    assert set(lines.seen().values()) == {1}


def test_lines_wait_for_loki_through_a_kill(shipper: Shipper) -> None:
    lines = Lines()
    shipper.write("A")
    shipper.start()
    shipper.write(*(f"B-{number}" for number in range(500)))
    eventually(lambda: b"B-499" in shipper.state(), shipper.log)
    shipper.end()
    shipper.docker.unlink()  # what was queued is the shipper's
    shipper.start()
    with loki(shipper.port, lines):
        eventually(lambda: lines.seen().keys() >= set(shipper.said), shipper.log)


def test_a_full_queue_waits_instead_of_losing(tmp_path: Path) -> None:
    small = "yaml:exporters::otlp_http::sending_queue: {queue_size: 60000, batch: {min_size: 1000, max_size: 20000}}"
    shipper, lines = Shipper(tmp_path, told=[small]), Lines()
    try:
        shipper.start()
        for turn in range(20):
            shipper.write(*(f"B-{turn}-{number}" for number in range(200)))
        eventually(lambda: b"B-0-0" in shipper.state(), shipper.log)
        with loki(shipper.port, lines):
            eventually(lambda: lines.seen().keys() >= set(shipper.said), shipper.log)
    finally:
        shipper.end()


def test_lines_of_other_projects_are_let_lie(shipper: Shipper) -> None:
    lines = Lines()
    with loki(shipper.port, lines):
        shipper.start()
        shipper.write("theirs", project="another")
        shipper.write("ours")
        eventually(lambda: "ours" in lines.seen(), shipper.log)
    assert "theirs" not in lines.seen()
