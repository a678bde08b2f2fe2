"""Actors: tells to a plain and to an asynchronous `receive`, in bulk and in a ring; asks. Against a queue and pykka."""

import json
from typing import Final

from benchmarks.machine import machine, versions
from benchmarks.processes import ran, say
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, Sample, shown

_TELLS: Final = (
    ("ours, plain, bulk", "queue, plain, bulk"),
    ("ours, plain, bulk", "lean queue, plain, bulk"),
    ("ours, plain, ring", "queue, plain, ring"),
    ("ours, plain, ring", "lean queue, plain, ring"),
    ("ours, coroutine, bulk", "queue, coroutine, bulk"),
    ("ours, coroutine, bulk", "lean queue, coroutine, bulk"),
    ("ours, coroutine, ring", "queue, coroutine, ring"),
    ("ours, coroutine, ring", "lean queue, coroutine, ring"),
)
_ASKS: Final = (("ours, ask, plain", "pykka, ask"), ("ours, ask, coroutine", "pykka, ask"))
_ALONE: Final = ("ours, plain, in a request's context", "ours, coroutine, in a request's context")

_NOTES: Final = (
    """`queue`: a bounded asyncio.Queue and a task that takes either sort of `receive`, as ours does, by the standard
  library's own example: `await put`, `get`, `task_done`.""",
    """`lean queue`: no more than put_nowait and get, for one sort of `receive`: the bound of what a queue can do.
  Neither knows supervision, contexts, senders or asks.""",
)


def run(plan: Plan) -> Section:
    say("actors: tells and asks")
    printed = ran("benchmarks.programs.actors", str(plan.rounds * 3), str(plan.seconds / 25), timeout=600)
    outcome = Contest({name: [Sample(rate) for rate in row] for name, row in json.loads(printed).items()})
    columns = ["ours ÷ peer", "ours/s", "peer/s", "ratio"]
    tables = [
        Table("Tells: messages received a second", columns, [_row(outcome, *pair) for pair in _TELLS]),
        Table("Asks: answers a second, one after the other", columns, [_row(outcome, *pair) for pair in _ASKS]),
        Table("What a context costs", ["sender", "messages/s"], [[name, shown(outcome.rate(name))] for name in _ALONE]),
    ]
    setting = f"{machine()}; {versions('pykka')}; {plan.rounds * 3} rounds of {1000 * plan.seconds / 25:.0f} ms."
    return Section("actors", setting, tables, _NOTES)


def _row(outcome: Contest, ours: str, peer: str) -> list[str]:
    return [f"{ours} ÷ {peer}", shown(outcome.rate(ours)), shown(outcome.rate(peer)), outcome.ratio_shown(ours, peer)]
