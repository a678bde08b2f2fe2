"""The rate limiter: exact and leased on one real redis-server, and in memory, against `limits` and throttled-py."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.machine import Meter, first_line, machine, used_by, used_by_ended_children, versions
from benchmarks.processes import ran, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, Turn, contest, disturbance, shown
from cortex_core.testing.redis_server import RedisServer, find_redis_server

_PEERS: Final = {"limits": "limits moving window", "throttled": "throttled-py GCRA"}
_OURS: Final = {"ours-exact": "ours exact", "ours-leased": "ours leased", "ours-bucket": "ours exact, token bucket"}
_MEMORY: Final = {
    "ours-memory": "ours",
    "limits-memory": "limits moving window",
    "throttled-memory": "throttled-py GCRA",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Who asks, for what, under which limit."""

    title: str
    tasks: int
    keys: int
    limit: int
    window: int
    ours: Sequence[str] = ("ours-exact", "ours-leased")
    peers: Sequence[str] = tuple(_PEERS)


ADMITTED: Final = (
    Scene(
        "64 tasks, 1,000 keys, all admitted", 64, 1_000, 10_000_000, 60, ("ours-exact", "ours-bucket", "ours-leased")
    ),
    Scene("64 tasks, one hot key, all admitted", 64, 1, 10_000_000, 60),
    Scene("one task, one hot key, all admitted", 1, 1, 10_000_000, 60, peers=("limits",)),
    Scene("64 tasks, 50,000 keys, 100 a minute each (every request remembered)", 64, 50_000, 100, 60, ("ours-exact",)),
)
FLOOD: Final = Scene(
    "64 tasks, one key, 1,000 a second allowed", 64, 1, 1_000, 1, ("ours-exact", "ours-bucket", "ours-leased")
)
IN_MEMORY: Final = Scene("one task, 10,000 keys", 1, 10_000, 1_000, 60, ("ours-memory",))


NOTES: Final = (
    "Both peers run on redis-py's asyncio client, all on uvloop.",
    "`redis` is how busy redis-server's CPU was under ours: near 100 % it is redis-server's speed that is shown.",
    "`most in a second` counts calls that began and ended within one second. A token bucket allows burst and rate.",
)


def run(plan: Plan) -> Section:
    with RedisServer.running() as server:
        outcomes = {scene: contest(_turns(scene, server), plan, partial(_progress, scene)) for scene in ADMITTED}
        flood = contest(_turns(FLOOD, server), Plan(1, max(3, plan.seconds), 1), partial(_progress, FLOOD))
    memory = contest(
        {name: partial(_turn, name, IN_MEMORY, None) for name in _MEMORY},
        Plan(plan.rounds, max(1, plan.seconds // 3), 1),
        partial(_progress, IN_MEMORY),
    )
    redis = " ".join(first_line(str(find_redis_server()), "--version").split()[:3])
    packages = versions("limits", "throttled-py", "redis", "hiredis", "uvloop")
    setting = f"{machine()}; {packages}, {redis}; {plan.rounds} rounds of {plan.seconds} s."
    tables = [_speeds(outcomes), _flood(flood), _in_memory(memory)]
    return Section("ratelimit", setting, tables, [*NOTES, disturbance(outcomes.values())])


def _turns(scene: Scene, server: RedisServer) -> dict[str, Turn]:
    return {name: partial(_turn, name, scene, server) for name in (*scene.ours, *scene.peers)}


def _turn(name: str, scene: Scene, server: RedisServer | None, seconds: int) -> Sample:
    """A fresh process on an empty Redis. The CPU of redis-server is part of what a limiter costs, so no run is void."""
    figures = (scene.tasks, scene.keys, scene.limit, scene.window, seconds)
    url, load = ("-", lambda: 0.0)
    if server is not None:
        assert server.pid is not None
        server.flush()
        url, load = server.url, used_by(server.pid)
    meter = Meter(used_by_ended_children, load).start()
    said = json.loads(ran("benchmarks.programs.limiter", name, url, *map(str, figures), timeout=seconds + 60))
    effort = meter.stop()
    facts = {"redis": 100 * effort.load / seconds, "peak": said["peak"], "others": effort.others / effort.elapsed}
    return Sample(said["rate"], facts=facts)


def _progress(scene: Scene, line: str) -> None:
    say(f"ratelimit, {scene.title}: {line}")


def _speeds(outcomes: Mapping[Scene, Contest]) -> Table:
    rows = [
        [
            f"{scene.title}: {_OURS[ours]} ÷ {_PEERS[peer]}",
            shown(outcome.rate(ours)),
            shown(outcome.rate(peer)),
            outcome.ratio_shown(ours, peer),
            f"{outcome.fact(ours, 'redis'):.0f} %",
        ]
        for scene, outcome in outcomes.items()
        for ours in scene.ours
        for peer in scene.peers
    ]
    return Table("Decisions a second on Redis", ["ours ÷ peer", "ours/s", "peer/s", "ratio", "redis"], rows)


def _flood(outcome: Contest) -> Table:
    rows = [
        [title, shown(outcome.rate(name)), f"{outcome.fact(name, 'peak'):,.0f}"]
        for name, title in (_OURS | _PEERS).items()
    ]
    return Table(FLOOD.title, ["limiter", "decisions/s", "most in a second"], rows)


def _in_memory(outcome: Contest) -> Table:
    rows = [
        [
            f"ours ÷ {_MEMORY[peer]}",
            shown(outcome.rate("ours-memory")),
            shown(outcome.rate(peer)),
            outcome.ratio_shown("ours-memory", peer),
        ]
        for peer in ("limits-memory", "throttled-memory")
    ]
    return Table(f"Decisions a second in memory, {IN_MEMORY.title}", ["ours ÷ peer", "ours/s", "peer/s", "ratio"], rows)
