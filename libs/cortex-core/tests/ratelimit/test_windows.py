"""The algorithms in memory, against their rules read literally (models.py). Times are whole nanoseconds."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ratelimit import FixedWindow, SlidingWindow, TokenBucket
from cortex_core.ratelimit.windows import SECOND, SlidingWindowState, State, state_of

from .models import BucketModel, FixedModel, SlidingModel, most_in_any_window

STEPS = st.lists(st.tuples(st.integers(0, SECOND // 2), st.integers(1, 3)), max_size=200)

Steps = Sequence[tuple[int, int]]


def run(state: State, steps: Steps) -> list[tuple[int, int]]:
    """What was admitted; each step is a wait since the last one, and a cost."""
    now, admitted = 5 * SECOND, []
    for passed, cost in steps:
        now += passed
        if state.wait(now, cost) == 0:
            state.charge(now, cost)
            admitted.append((now, cost))
    return admitted


@pytest.mark.parametrize(
    ("policy", "model"),
    [
        (FixedWindow(5, 1.0), FixedModel(5, SECOND)),
        (SlidingWindow(5, 1.0), SlidingModel(5, SECOND)),
        (TokenBucket(5, 7), BucketModel(7, SECOND // 5)),
    ],
    ids=["fixed", "sliding", "bucket"],
)
@given(steps=STEPS)
def test_who_is_admitted_is_what_the_rule_says(policy: Any, model: Any, steps: Steps) -> None:
    model = type(model)(policy.limit, getattr(model, "window", getattr(model, "interval", None)))
    state, now = state_of(policy), 5 * SECOND
    for passed, cost in steps:
        now += passed
        fits = model.fits(now, cost)
        assert (state.wait(now, cost) == 0) == fits
        if fits:
            state.charge(now, cost)
            model.charge(now, cost)


@given(steps=STEPS, cost=st.integers(1, 3), kind=st.sampled_from(["fixed", "sliding", "large", "bucket"]))
def test_the_wait_is_the_shortest_after_which_the_call_fits(steps: Steps, cost: int, kind: str) -> None:
    policies = {
        "fixed": FixedWindow(4, 1.0),
        "sliding": SlidingWindow(4, 1.0),
        "large": SlidingWindow(400, 1.0),
        "bucket": TokenBucket(4, 4),
    }
    units = 100 if kind == "large" else 1
    state = state_of(policies[kind])
    admitted = run(state, [(passed, each * units) for passed, each in steps])
    now = admitted[-1][0] if admitted else 5 * SECOND

    wait = state.wait(now, cost * units)

    if wait:
        assert state.wait(now + wait - 1, cost * units) == 1
        assert state.wait(now + wait, cost * units) == 0


@pytest.mark.parametrize(
    ("policy", "wait"),
    [
        (FixedWindow(4, 1.0), SECOND * 3 // 4),
        (SlidingWindow(4, 1.0), SECOND),
        (SlidingWindow(128, 1.0), SECOND),
        (SlidingWindow(256, 1.0), SECOND),
        (TokenBucket(4, 4), SECOND // 4),
        (TokenBucket(3, 4), SECOND // 3 + 1),
    ],
    ids=lambda value: getattr(value, "id", None),
)
def test_a_call_fits_at_the_edge_and_not_a_nanosecond_before(policy: Any, wait: int) -> None:
    state, now = state_of(policy), 5 * SECOND + SECOND // 4
    state.charge(now, policy.limit)

    assert state.wait(now, 1) == wait
    assert state.wait(now + wait - 1, 1) == 1
    assert state.wait(now + wait, 1) == 0
    assert state.remaining(now + wait) >= 1


@given(steps=st.lists(st.tuples(st.integers(0, SECOND // 20), st.integers(1, 40)), max_size=300))
def test_a_large_window_never_admits_more_than_its_limit_in_any_span(steps: Steps) -> None:
    admitted = run(state_of(SlidingWindow(200, 1.0)), steps)

    assert most_in_any_window(admitted, SECOND) <= 200


@pytest.mark.parametrize("limit", [10, 128, 129, 1000])
@pytest.mark.parametrize("times", [2.0, 5.0, 20.0])
def test_a_steady_client_above_its_limit_gets_its_fair_share(limit: int, times: float) -> None:
    state, seconds = state_of(SlidingWindow(limit, 1.0)), 30
    step = round(SECOND / (limit * times))

    admitted = run(state, [(step, 1)] * round(seconds * SECOND / step))

    assert 0.98 * limit * seconds <= len(admitted) <= limit * (seconds + 1)
    assert most_in_any_window(admitted, SECOND) <= limit


@given(step=st.integers(SECOND // 20_000, SECOND // 130))
def test_a_large_window_admits_at_most_two_percent_too_little(step: int) -> None:
    limit, seconds = 129, 8
    admitted = run(state_of(SlidingWindow(limit, 1.0)), [(step, 1)] * (seconds * SECOND // step))

    assert len(admitted) >= 0.98 * limit * seconds


@pytest.mark.parametrize("limit", [128, 129, 10**9])
def test_a_sliding_window_takes_bounded_memory(limit: int) -> None:
    state = SlidingWindowState(SlidingWindow(limit, 1.0))

    run(state, [(SECOND // 5000, 1)] * 20_000)

    assert len(state._entries) <= 128


def test_a_fixed_window_lets_twice_its_limit_pass_round_an_edge() -> None:
    """Its known property, and the reason to prefer the others."""
    state = state_of(FixedWindow(100, 60.0))
    edge = 120 * SECOND

    admitted = run(state, [(edge - 5 * SECOND - 1, 1), *[(0, 1)] * 150, (1, 1), *[(0, 1)] * 150])

    assert most_in_any_window(admitted, 60 * SECOND) == 200


@given(steps=STEPS)
def test_a_bucket_never_admits_more_than_its_burst_and_what_flowed_in(steps: Steps) -> None:
    admitted = run(state_of(TokenBucket(3, 5)), steps)

    for first, (begin, _) in enumerate(admitted):
        taken = 0
        for moment, cost in admitted[first:]:
            taken += cost
            assert (taken - 5) * (SECOND // 3) <= moment - begin


@given(steps=STEPS, kind=st.sampled_from([FixedWindow(4, 1.0), SlidingWindow(4, 1.0), TokenBucket(4, 4)]))
def test_what_remains_is_what_could_still_be_taken_at_once(steps: Steps, kind: Any) -> None:
    state = state_of(kind)
    admitted = run(state, steps)
    now = admitted[-1][0] if admitted else 5 * SECOND
    remaining = state.remaining(now)

    assert 0 <= remaining <= 4
    assert remaining == 0 or state.wait(now, remaining) == 0
    assert remaining == 4 or state.wait(now, remaining + 1) > 0


@given(steps=STEPS, kind=st.sampled_from([FixedWindow(4, 1.0), SlidingWindow(4, 1.0), TokenBucket(4, 4)]))
def test_it_is_as_good_as_new_when_it_says_so(steps: Steps, kind: Any) -> None:
    state = state_of(kind)
    run(state, steps)

    assert state.remaining(state.resets_at) == 4
    assert state.wait(state.resets_at, 4) == 0
