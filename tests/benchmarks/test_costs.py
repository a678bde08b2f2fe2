"""What a call costs beyond the bare one."""

import pytest

from benchmarks.areas.costs import beyond, duels, microseconds
from benchmarks.programs import calls


def test_the_bare_call_is_taken_off_round_by_round() -> None:
    outcome = beyond({"bare": [1e-6, 2e-6], "ours": [2e-6, 3e-6], "peer": [5e-6, 6e-6]}, "bare")

    assert microseconds(outcome, "ours") == "1.00"
    assert duels(outcome, [("ours", "peer")]) == [["ours ÷ peer", "1.00", "4.00", "4.00 (4.00 … 4.00)"]]


def test_a_cost_that_the_clock_cannot_tell_is_no_division_by_zero() -> None:
    outcome = beyond({"bare": [1e-6], "ours": [0.9e-6]}, "bare")

    assert microseconds(outcome, "ours") == "0.00"


async def test_every_contestant_has_a_figure_a_round() -> None:
    seen: list[str] = []

    async def ours() -> None:
        seen.append("ours")

    found = await calls.costs({"ours": (ours, ())}, {"sync": (seen.append, ("sync",))}, rounds=2, seconds=0.0001)

    assert {name: len(row) for name, row in found.items()} == {"ours": 2, "sync": 2}
    assert all(cost > 0 for row in found.values() for cost in row)
    assert {"ours", "sync"} == set(seen)


@pytest.mark.parametrize(
    ("asked", "answered", "most"),
    [
        ([], [], 0),
        ([0.0, 0.5, 1.0], [0.1, 0.6, 1.1], 2),
        ([1.0, 1.2, 1.4, 3.0], [1.1, 1.3, 1.5, 3.1], 3),
        ([0.9, 1.0], [1.95, 1.1], 1),  # the first may have been admitted at 1.95, a second after the other
    ],
)
def test_only_what_is_certainly_within_a_window_counts(asked: list[float], answered: list[float], most: int) -> None:
    limiter = pytest.importorskip("benchmarks.programs.limiter")

    assert limiter.peak(asked, answered, 1.0) == most
