"""HTTP cache, hits: ours in memory and on Redis against PyPI's server-side caches."""

import os
import tempfile
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import wrk
from benchmarks.machine import machine, versions
from benchmarks.processes import asgi, fetched, say
from benchmarks.programs.cache import BODY
from benchmarks.report import Section, Table
from benchmarks.rounds import Plan, contest, disturbance, shown
from cortex_core.testing.redis_server import RedisServer

_PROGRAM: Final = "benchmarks.programs.cache"
_SIDES: Final = {
    "ours in memory": "ours_memory",
    "ours on Redis": "ours_redis",
    "fastapi-cache2 in memory": "fastapi_cache",
    "hishel on SQLite": "hishel_sqlite",
    "hishel on Redis": "hishel_redis",
    "no cache": "bare",
}
_DUELS: Final = (
    ("ours in memory", "fastapi-cache2 in memory"),
    ("ours in memory", "hishel on SQLite"),
    ("ours on Redis", "hishel on Redis"),
    ("ours in memory", "no cache"),
)


def run(plan: Plan) -> Section:
    shorter = Plan(plan.rounds, max(1, plan.seconds * 2 // 5), plan.warm_up)
    with ExitStack() as stack:
        os.environ["BENCH_REDIS"] = stack.enter_context(RedisServer.running()).url
        os.environ["BENCH_FOLDER"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="cortex-bench-"))
        sides = {name: stack.enter_context(asgi(f"{_PROGRAM}:{factory}")) for name, factory in _SIDES.items()}
        for address, _ in sides.values():
            _check(address)
        turns = {name: partial(wrk.load, address, pid) for name, (address, pid) in sides.items()}
        outcome = contest(turns, shorter, lambda line: say(f"cache: {line}"))
    rows = [
        [f"{ours} ÷ {peer}", shown(outcome.rate(ours)), shown(outcome.rate(peer)), outcome.ratio_shown(ours, peer)]
        for ours, peer in _DUELS
    ]
    setting = (
        f"{machine()}; {versions('hishel', 'fastapi-cache2', 'uvicorn')}; {plan.rounds} rounds of {shorter.seconds} s."
    )
    notes = [
        "Hits of one 4 KB answer. `no cache` is an application that has it in hand: what no cache can beat.",
        "fastapi-cache2 keeps what a FastAPI route returned; hishel follows RFC 9111, as ours does.",
        disturbance([outcome]),
    ]
    return Section(
        "cache",
        setting,
        [Table("Answers a second under uvicorn", ["ours ÷ peer", "ours/s", "peer/s", "ratio"], rows)],
        notes,
    )


def _check(address: str) -> None:
    """The first answer and the stored one. Raises SystemExit where they are not what the application sends."""
    for _ in range(2):
        if fetched(address) != BODY:
            raise SystemExit(f"bench: {address} does not answer with what the application sends")
