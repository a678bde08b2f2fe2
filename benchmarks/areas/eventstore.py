"""Durable appends a second: ours with group commit, ours with a commit for each, and the `eventsourcing` package."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.machine import Meter, machine, used_by_ended_children, versions
from benchmarks.processes import ran, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, Turn, contest, disturbance, shown
from cortex_core.testing.postgres_server import PostgresServer

_SIDES: Final = {
    "group": "ours, group commit",
    "group-messages": "ours, group commit, a message with each",
    "single": "ours, commit per append",
    "peer": "eventsourcing, EventStore.put",
    "peer-recorder": "eventsourcing, its recorder alone",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where, how many writers, and who is compared with whom."""

    title: str
    writers: int
    ours: Sequence[str]
    against: Sequence[str]
    postgres: bool = False


SCENES: Final = (
    Scene("SQLite, 64 writers", 64, ("group", "group-messages"), ("peer", "peer-recorder", "single")),
    Scene("SQLite, one writer", 1, ("group",), ("peer", "peer-recorder", "single")),
    Scene("PostgreSQL, 64 writers", 64, ("group",), ("single",), postgres=True),
    Scene("PostgreSQL, one writer", 1, ("group",), ("single",), postgres=True),
)

NOTES: Final = (
    "An append is on the disk when it is acknowledged: WAL and synchronous=FULL on both sides; fsync on PostgreSQL.",
    "A writer has a stream of its own and appends one event at a time: ours is a task, on uvloop, the peer's a thread.",
    "eventsourcing has one connection (5 or 64 were no faster). Its recorder alone gets events serialized beforehand.",
    "What a commit costs decides: the slower the disk, the more a group is worth, and the less all else matters.",
    "Targets: 10 times eventsourcing, better 25; 15 times commit per append. On PostgreSQL the peer needs psycopg.",
)


def run(plan: Plan) -> Section:
    flush = _flush()
    outcomes: dict[Scene, Contest] = {}
    with _server() as url:
        for scene in SCENES:
            turns = _turns(scene, url if scene.postgres else None)
            outcomes[scene] = contest(turns, plan, partial(_progress, scene))
    setting = (
        f"{machine()}; {versions('eventsourcing', 'aiosqlite', 'sqlalchemy', 'asyncpg', 'uvloop')}; the disk takes"
        f" {1e6 * flush:.0f} µs to flush a page; {plan.rounds} rounds of {plan.seconds} s."
    )
    return Section("eventstore", setting, [_speeds(outcomes)], [*NOTES, disturbance(outcomes.values())])


@contextmanager
def _server() -> Iterator[str]:
    with PostgresServer.running() as server, server.database() as url:
        yield url


def _turns(scene: Scene, url: str | None) -> dict[str, Turn]:
    return {side: partial(_turn, side, scene, url) for side in (*scene.ours, *scene.against)}


def _turn(side: str, scene: Scene, url: str | None, seconds: int) -> Sample:
    """A fresh process; on SQLite a fresh file, on PostgreSQL streams of its own."""
    with tempfile.TemporaryDirectory(dir=_disk()) as folder:
        meter = Meter(used_by_ended_children, lambda: 0.0).start()
        said = json.loads(
            ran(
                "benchmarks.programs.eventstore",
                side,
                url or folder,
                str(scene.writers),
                str(seconds),
                timeout=seconds + 60,
            )
        )
        effort = meter.stop()
    return Sample(said["rate"], facts={"others": effort.others / effort.elapsed})


def _disk() -> Path:
    """A folder on a disk: /tmp may be memory, where durability costs nothing."""
    return Path(__file__).parents[1] / ".peers"


def _flush() -> float:
    """Seconds that a page takes to the disk: what a commit costs at least. The median of 200."""
    taken = []
    with tempfile.TemporaryFile(dir=_disk()) as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _progress(scene: Scene, line: str) -> None:
    say(f"eventstore, {scene.title}: {line}")


def _speeds(outcomes: Mapping[Scene, Contest]) -> Table:
    rows = [
        [
            f"{scene.title}: {_SIDES[ours]} ÷ {_SIDES[other]}",
            shown(outcome.rate(ours)),
            shown(outcome.rate(other)),
            outcome.ratio_shown(ours, other),
        ]
        for scene, outcome in outcomes.items()
        for ours in scene.ours
        for other in scene.against
    ]
    return Table("Durable appends a second", ["ours ÷ other", "ours/s", "other/s", "ratio"], rows)
