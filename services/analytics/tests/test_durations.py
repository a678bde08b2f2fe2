"""The distribution against the durations it was made of."""

import math
import random
from functools import reduce

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cortex_analytics.domain import (
    BOUNDS,
    MAX_SECONDS,
    RELATIVE_ERROR,
    Durations,
    ImplausibleDuration,
    cell_of,
)

PLAUSIBLE = st.floats(min_value=1e-6, max_value=MAX_SECONDS)
ANY = st.one_of(st.just(0.0), PLAUSIBLE, st.sampled_from(BOUNDS), st.floats(min_value=0.001, max_value=30))
QUANTILES = st.floats(min_value=0, max_value=1, exclude_min=True)


def of(seconds: list[float]) -> Durations:
    return reduce(Durations.plus, seconds, Durations())


def nearest_rank(seconds: list[float], q: float) -> float:
    return sorted(seconds)[math.ceil(q * len(seconds)) - 1]


@given(st.lists(ANY, min_size=1, max_size=60), QUANTILES)
@example([0.1] * 99 + [10.0], 0.99)
@example([0.1] * 99 + [10.0], 1.0)
def test_a_quantile_is_within_a_percent_of_the_true_one(seconds: list[float], q: float) -> None:
    true = nearest_rank(seconds, q)

    estimate = of(seconds).quantile(q)

    assert estimate is not None
    assert abs(estimate - true) <= RELATIVE_ERROR * true


@given(PLAUSIBLE)
def test_every_duration_is_within_a_percent_of_what_it_is_taken_for(seconds: float) -> None:
    assert abs(cell_of(seconds).seconds - seconds) <= RELATIVE_ERROR * seconds


@given(ANY, ANY)
def test_cells_sort_as_durations_do(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))

    assert cell_of(shorter) <= cell_of(longer)


@given(st.lists(ANY, max_size=60))
def test_prometheus_buckets_are_exact(seconds: list[float]) -> None:
    counted = of(seconds).cumulative()

    assert counted == [sum(each <= bound for each in seconds) for bound in BOUNDS] + [len(seconds)]


@given(st.lists(ANY, max_size=60), st.randoms(use_true_random=False))
def test_the_order_makes_no_difference(seconds: list[float], rng: random.Random) -> None:
    shuffled = seconds[:]
    rng.shuffle(shuffled)

    assert of(shuffled) == of(seconds)


@given(st.lists(st.floats(min_value=0, max_value=1000), min_size=1, max_size=60))
def test_the_mean_is_exact_to_the_microsecond(seconds: list[float]) -> None:
    mean = of(seconds).mean

    assert mean is not None
    assert abs(mean - math.fsum(seconds) / len(seconds)) <= 1e-6


def test_of_nothing_there_is_nothing() -> None:
    nothing = Durations()

    assert (nothing.count, nothing.sum, nothing.mean, nothing.quantile(0.5)) == (0, 0.0, None, None)
    assert nothing.cumulative() == [0] * 7


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf, -math.inf, MAX_SECONDS * 1.01])
def test_what_is_no_processing_time_is_refused(seconds: float) -> None:
    with pytest.raises(ImplausibleDuration):
        cell_of(seconds)


@pytest.mark.parametrize("q", [0, -0.1, 1.1, math.nan])
def test_what_is_no_quantile_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="a quantile is in"):
        Durations().quantile(q)


def test_the_range_fits_in_few_cells() -> None:
    """A service that has seen everything from a microsecond to ten years holds this many rows a tenant, at most."""
    assert cell_of(MAX_SECONDS).bucket - cell_of(0.0).bucket + len(BOUNDS) < 1700
