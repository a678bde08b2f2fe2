"""The cost of a call that succeeds: breaker, retry, bulkhead, and the three together, against PyPI's."""

from typing import Final

from benchmarks.areas.costs import beyond, costs_of, duels, microseconds
from benchmarks.machine import machine, versions
from benchmarks.processes import say
from benchmarks.programs.calls import BARE
from benchmarks.report import Section, Table
from benchmarks.rounds import Plan

_ALL: Final = "ours breaker + retry + bulkhead"
_HUB: Final = "ours the three with a budget, a time window and hooks"
_DUELS: Final = (
    ("ours retry", "tenacity"),
    ("ours retry, decorator", "tenacity, decorator"),
    ("ours breaker, decorator", "purgatory, decorator"),
    ("ours breaker", "aiobreaker"),
    ("ours breaker, decorator", "aiobreaker, decorator"),
    (f"{_ALL}, decorator", "purgatory + tenacity, decorators"),
)
_SYNC_DUELS: Final = (("ours retry, sync", "tenacity, sync"), ("ours breaker, sync", "pybreaker, sync"))
_TARGET: Final = 5.0  # µs, of the three together


def run(plan: Plan) -> Section:
    say("resilience: calls that succeed")
    costs = costs_of("benchmarks.programs.resilience", plan)
    sync = beyond({name: row for name, row in costs.items() if name.endswith(", sync")}, f"{BARE}, sync")
    outcome = beyond({name: row for name, row in costs.items() if not name.endswith(", sync")}, BARE)
    alone = ("ours breaker", "ours retry", "ours bulkhead", _ALL, _HUB)
    costs_table = Table(
        "Cost of a call that succeeds, µs beyond the bare call",
        ["block", "execute", "decorator", "execute_sync"],
        [
            [
                name,
                microseconds(outcome, name),
                microseconds(outcome, f"{name}, decorator"),
                microseconds(sync, f"{name}, sync"),
            ]
            for name in alone
        ],
    )
    against = Table(
        "Against peers",
        ["ours ÷ peer", "ours µs", "peer µs", "times cheaper"],
        duels(outcome, _DUELS) + duels(sync, _SYNC_DUELS),
    )
    setting = f"{machine()}; {versions('tenacity', 'purgatory', 'aiobreaker', 'pybreaker')}; {plan.rounds * 3} rounds."
    notes = [
        f"Target: breaker + retry + bulkhead ≤ {_TARGET:.0f} µs.",
        "pybreaker's asynchronous form needs Tornado: its synchronous one is measured.",
    ]
    return Section("resilience", setting, [costs_table, against], notes)
