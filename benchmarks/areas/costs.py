"""From what calls.py printed to what a call costs beyond the bare one."""

import json
from collections.abc import Sequence

from benchmarks.processes import ran
from benchmarks.rounds import Contest, Plan, Sample, shown

_FLOOR = 1e-9  # seconds: a cost below what the clock can tell


def costs_of(program: str, plan: Plan) -> dict[str, list[float]]:
    """Seconds a call, a figure a round. Turns are a 25th as long as the plan's, and there are three times as many."""
    printed = ran(program, str(plan.rounds * 3), str(plan.seconds / 25), timeout=600)
    return {name: list(row) for name, row in json.loads(printed).items()}


def beyond(costs: dict[str, list[float]], bare: str) -> Contest:
    """The contestants' calls a second if only their own share of the time counted."""
    return Contest(
        {
            name: [Sample(1 / max(_FLOOR, cost - floor)) for cost, floor in zip(row, costs[bare], strict=True)]
            for name, row in costs.items()
            if name != bare
        }
    )


def microseconds(outcome: Contest, side: str) -> str:
    rate = outcome.rate(side)
    return shown(None if rate is None else 1e6 / rate)


def duels(outcome: Contest, pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Rows: who against whom, µs and µs, how many times ours is cheaper."""
    return [
        [f"{ours} ÷ {peer}", microseconds(outcome, ours), microseconds(outcome, peer), outcome.ratio_shown(ours, peer)]
        for ours, peer in pairs
    ]
