"""Tokens: ours against PyJWT, seen before and cold."""

from typing import Final

from benchmarks.areas.costs import beyond, costs_of, duels
from benchmarks.machine import machine, versions
from benchmarks.processes import say
from benchmarks.programs.calls import BARE
from benchmarks.report import Section, Table
from benchmarks.rounds import Plan

_ALGORITHMS: Final = ("ES256", "RS256")


def run(plan: Plan) -> Section:
    say("tokens: read in a tight loop")
    outcome = beyond(costs_of("benchmarks.programs.tokens", plan), BARE)
    header = ["ours ÷ peer", "ours µs", "peer µs", "times cheaper"]
    seen = [(f"ours, {alg}, seen before", f"PyJWT, {alg}") for alg in _ALGORITHMS]
    cold = [(f"ours, {alg}, cold", f"PyJWT, {alg}") for alg in _ALGORITHMS]
    tables = [
        Table("A token that was seen before: from a request's headers to its principal", header, duels(outcome, seen)),
        Table("A token seen for the first time", header, duels(outcome, cold)),
    ]
    setting = f"{machine()}; {versions('pyjwt', 'cryptography')}; {plan.rounds * 3} rounds."
    notes = [
        "Target: seen before ≥ 20, better 40; cold ≥ 1.0.",
        "Both verify with `cryptography`: a cold token costs what OpenSSL's verification does and little more.",
        "Of ours the header of a known key is looked up, not parsed: every token of that key begins alike.",
    ]
    return Section("tokens", setting, tables, notes)
