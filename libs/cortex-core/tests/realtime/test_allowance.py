"""The token bucket, against the rule it is to keep: never more than burst + rate · t in any span of t seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.realtime import Allowance


def test_a_burst_is_taken_at_once_and_no_more() -> None:
    allowance = Allowance(rate=1, burst=3, now=100.0)

    assert [allowance.take(100.0) for _ in range(5)] == [True, True, True, False, False]


def test_it_fills_again_at_its_rate() -> None:
    allowance = Allowance(rate=2, burst=1, now=0.0)
    allowance.take(0.0)

    assert not allowance.take(0.4)
    assert allowance.take(0.5)
    assert not allowance.take(0.5)


def test_a_refusal_costs_nothing() -> None:
    allowance = Allowance(rate=1, burst=1, now=0.0)
    allowance.take(0.0)
    for _ in range(100):  # the client that goes on asking is not locked out for ever
        allowance.take(0.5)

    assert allowance.take(1.0)


@given(
    rate=st.integers(1, 20),
    burst=st.integers(1, 20),
    steps=st.lists(st.integers(0, 2000), max_size=200),
)
def test_no_span_of_time_sees_more_than_it_may(rate: int, burst: int, steps: list[int]) -> None:
    allowance, now, taken = Allowance(rate, burst, now=0.0), 0, []
    for step in steps:
        now += step
        if allowance.take(now / 1000):
            taken.append(now)

    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - begin) / 1000 + 1e-6


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_nonsense_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate must be positive"):
        Allowance(rate, burst, now=0.0)
