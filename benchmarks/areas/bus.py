"""The event bus on one real redis-server, its append-only file on, against redis-py used as one would by hand."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.machine import Meter, first_line, machine, used_by, used_by_ended_children, versions
from benchmarks.processes import ran, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, Turn, contest, disturbance, shown
from cortex_core.testing.redis_server import RedisServer, find_redis_server

_LYING: Final = {"ours": 60_000, "naive-1": 15_000, "naive-64": 30_000}  # events for each second of a deliver turn


@dataclass(frozen=True, slots=True)
class Scene:
    """Who publishes: tasks, and events a call."""

    title: str
    tasks: int
    at_once: int


PUBLISH: Final = {
    "ours-1": Scene("ours, one task, an event a call", 1, 1),
    "ours-1x200": Scene("ours, one task, 200 events a call", 1, 200),
    "ours-64": Scene("ours, 64 tasks, an event a call", 64, 1),
    "ours-64x16": Scene("ours, 64 tasks, 16 events a call", 64, 16),
    "naive-1": Scene("redis-py, one task", 1, 1),
    "naive-64": Scene("redis-py, 64 tasks", 64, 1),
}
DELIVER: Final = {
    "ours": "ours: a group, 64 a fetch",
    "naive-1": "redis-py, COUNT 1",
    "naive-64": "redis-py, COUNT 64",
}
NOTES: Final = (
    "All on uvloop and hiredis; events of some 490 bytes, whose JSON each side makes or reads itself.",
    "Redis-py publishes by an XADD and a PUBLISH, each awaited. With 64 tasks it uses as many connections.",
    "It delivers by XREADGROUP, the handler, and an XACK for each message, each awaited.",
    "A task that waits for each event before it gives the next waits for Redis: the writer has nothing to gather.",
    "`redis` is how busy redis-server's CPU was: near 100 % it is redis-server's speed that is shown.",
)


def run(plan: Plan) -> Section:
    with RedisServer.running() as server:
        published = contest({name: partial(_publish, name, server) for name in PUBLISH}, plan, _progress("publish"))
        delivered = contest(_delivering(server), plan, _progress("deliver"))
    redis = " ".join(first_line(str(find_redis_server()), "--version").split()[:3])
    packages = f"{versions('redis', 'hiredis', 'uvloop')}, {redis}, appendfsync everysec"
    setting = f"{machine()}; {packages}; {plan.rounds} rounds of {plan.seconds} s."
    tables = [_published(published), _delivered(delivered)]
    return Section("bus", setting, tables, [*NOTES, disturbance([published, delivered])])


def _delivering(server: RedisServer) -> Mapping[str, Turn]:
    return {name: partial(_deliver, name, server) for name in DELIVER}


def _publish(name: str, server: RedisServer, seconds: int) -> Sample:
    scene = PUBLISH[name]
    return _turn(server, name, (scene.tasks, scene.at_once, 0), seconds)


def _deliver(name: str, server: RedisServer, seconds: int) -> Sample:
    return _turn(server, name, (0, 0, _LYING[name] * seconds), seconds)


def _turn(server: RedisServer, name: str, figures: Sequence[int], seconds: int) -> Sample:
    """A fresh process on an empty Redis, whose CPU is part of what a bus costs: no run is void."""
    assert server.pid is not None
    server.flush()
    _at_rest(server)
    server.command("BGREWRITEAOF")  # or the file grows from turn to turn
    _at_rest(server)
    meter = Meter(used_by_ended_children, used_by(server.pid)).start()
    said = json.loads(
        ran("benchmarks.programs.bus", name, server.url, *map(str, (*figures, seconds)), timeout=seconds + 120)
    )
    effort = meter.stop()
    return Sample(
        said["rate"], facts={"redis": 100 * effort.load / effort.elapsed, "others": effort.others / effort.elapsed}
    )


def _at_rest(server: RedisServer) -> None:
    """Waits for a rewriting of the file: Redis begins one by itself when it has grown, and takes one at a time."""
    while "aof_rewrite_in_progress:1" in server.command("INFO", "persistence"):
        time.sleep(0.05)


def _progress(what: str) -> Callable[[str], None]:
    return partial(_say, what)


def _say(what: str, line: str) -> None:
    say(f"bus, {what}: {line}")


def _published(outcome: Contest) -> Table:
    rows = [
        _row(outcome, PUBLISH[ours].title, ours, PUBLISH[peer].title, peer)
        for ours in PUBLISH
        if ours.startswith("ours")
        for peer in ("naive-1", "naive-64")
    ]
    return Table("Acknowledged publications a second (XADD and PUBLISH)", _COLUMNS, rows)


def _delivered(outcome: Contest) -> Table:
    rows = [_row(outcome, DELIVER["ours"], "ours", DELIVER[peer], peer) for peer in ("naive-1", "naive-64")]
    return Table("Events a second, handled and acknowledged", _COLUMNS, rows)


_COLUMNS: Final = ["ours ÷ peer", "ours/s", "peer/s", "ratio", "redis"]


def _row(outcome: Contest, title: str, ours: str, peer_title: str, peer: str) -> list[str]:
    return [
        f"{title} ÷ {peer_title}",
        shown(outcome.rate(ours)),
        shown(outcome.rate(peer)),
        outcome.ratio_shown(ours, peer),
        f"{outcome.fact(ours, 'redis'):.0f} %",
    ]
