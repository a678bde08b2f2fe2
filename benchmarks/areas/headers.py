"""Security headers: ours against the `secure` package and a BaseHTTPMiddleware, bare and under a server."""

from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import wrk
from benchmarks.areas.costs import beyond, costs_of, duels
from benchmarks.machine import machine, versions
from benchmarks.processes import asgi, fetched, say
from benchmarks.programs.calls import BARE
from benchmarks.report import Section, Table
from benchmarks.rounds import Contest, Plan, contest, disturbance, shown

_PROGRAM: Final = "benchmarks.programs.headers"
_SERVED: Final = {"ours": "ours", "secure": "secure", "BaseHTTPMiddleware": "starlette", BARE: "bare"}
_DUELS: Final = (
    ("ours", "secure"),
    ("ours", "BaseHTTPMiddleware"),
    ("ours, nonce", "BaseHTTPMiddleware, nonce"),
)


def run(plan: Plan) -> Section:
    say("headers: bare ASGI loop")
    outcome = beyond(costs_of(_PROGRAM, plan), BARE)
    bare = Table(
        "Cost of a response's headers in a bare ASGI loop, µs beyond the application",
        ["ours ÷ peer", "ours µs", "peer µs", "times cheaper"],
        duels(outcome, _DUELS),
    )
    setting = f"{machine()}; {versions('secure', 'starlette', 'uvicorn')}; {plan.rounds} rounds of {plan.seconds} s."
    notes = [
        "All send the same headers with the same values; `bare` is the application alone, which sends none of them."
    ]
    served = _served(plan)
    return Section("headers", setting, [bare, _table(served)], [*notes, disturbance([served])])


def _served(plan: Plan) -> Contest:
    with ExitStack() as stack:
        sides = {name: stack.enter_context(asgi(f"{_PROGRAM}:{factory}")) for name, factory in _SERVED.items()}
        said = {name: _headers(address) for name, (address, _) in sides.items() if name != BARE}
        if len(set(map(frozenset, said.values()))) != 1:
            raise SystemExit(f"bench: the sides do not send the same headers: {said}")
        turns = {name: partial(wrk.load, address, pid) for name, (address, pid) in sides.items()}
        return contest(turns, plan, lambda line: say(f"headers: {line}"))


def _table(outcome: Contest) -> Table:
    rows = [
        [f"ours ÷ {peer}", shown(outcome.rate("ours")), shown(outcome.rate(peer)), outcome.ratio_shown("ours", peer)]
        for peer in _SERVED
        if peer != "ours"
    ]
    return Table("Answers a second under uvicorn", ["ours ÷ peer", "ours/s", "peer/s", "ratio"], rows)


def _headers(address: str) -> list[str]:
    """What is sent, but for the moment and the order."""
    lines = fetched(address, "-o", "/dev/null", "-D", "-").decode().splitlines()[1:]
    return [line.lower() for line in lines if line and not line.lower().startswith("date:")]
