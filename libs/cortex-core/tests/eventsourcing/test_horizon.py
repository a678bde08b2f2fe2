"""The rules of positions by themselves: when a look is settled, and where reading stops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex_core.eventsourcing.sql.positions import Horizon, Look, before_first_gap

LOOKS = st.lists(st.tuples(st.integers(0, 50), st.frozensets(st.sampled_from("abcdef"), max_size=3)), max_size=20)


@given(LOOKS)
@settings(max_examples=200, deadline=None)
def test_the_horizon_only_grows_and_never_beyond_what_was_seen(looks: list[tuple[int, frozenset[str]]]) -> None:
    horizon = Horizon()
    before = 0
    for highest, writers in looks:
        horizon.learn(Look(highest, writers))
        assert before <= horizon.settled <= max(highest for highest, _ in looks)
        before = horizon.settled


def test_a_look_is_settled_when_its_own_writers_have_ended() -> None:
    horizon = Horizon()
    for highest, writers, settled in [
        (10, "ab", 0),
        (20, "bc", 0),  # b was there before 10 was seen
        (30, "cd", 10),  # a and b have ended; of 30 the writers are c and d
        (40, "de", 10),
        (50, "ef", 30),
        (60, "", 60),
        (70, "g", 60),
        (80, "g", 60),
        (90, "h", 70),
    ]:
        horizon.learn(Look(highest, frozenset(writers)))
        assert horizon.settled == settled, (highest, writers)


@pytest.mark.parametrize(
    ("positions", "after", "settled", "whole"),
    [
        ([], 0, 0, 0),
        ([1, 2, 3], 0, 0, 3),
        ([2, 3], 0, 0, 0),
        ([1, 3], 0, 0, 1),
        ([1, 3], 0, 1, 1),
        ([1, 3], 0, 2, 2),
        ([6, 7, 9], 5, 0, 2),
        ([6, 7, 9], 5, 8, 3),
        ([7], 5, 5, 0),
        ([7], 5, 6, 1),
        ([7, 8, 10], 0, 8, 2),
    ],
)
def test_reading_stops_at_the_first_gap_above_what_is_settled(
    positions: list[int], after: int, settled: int, whole: int
) -> None:
    assert before_first_gap(positions, after, settled) == whole
