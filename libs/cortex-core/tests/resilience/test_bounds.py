"""What a block is built with: whatever is no such number is refused at once, by its name."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from cortex_core.resilience import (
    AdaptiveLimit,
    Bulkhead,
    CircuitBreaker,
    CountWindow,
    Hedge,
    Percentile,
    RetryBudget,
    RetryExecutor,
    SharedCircuit,
    Timeout,
    TimeWindow,
)
from cortex_core.resilience.bounds import number, seconds, whole
from cortex_core.resilience.redis import RedisBallot

NO_NUMBERS = [math.nan, math.inf, -math.inf, True, "3", b"3", [3], 3j]

Build = Callable[..., object]
hedge: Build = partial(Hedge, idempotent=True)
ballot: Build = partial(RedisBallot, "redis://127.0.0.1", "payments")
failures: Build = partial(CountWindow, failure_rate=0.5)
recent: Build = partial(TimeWindow, failure_rate=0.5)

WHOLE: list[tuple[Build, str]] = [
    (AdaptiveLimit, "initial"),
    (AdaptiveLimit, "minimum"),
    (AdaptiveLimit, "maximum"),
    (AdaptiveLimit, "window"),
    (Bulkhead, "max_concurrent"),
    (partial(Bulkhead, 1), "max_queue"),
    (CircuitBreaker, "failure_threshold"),
    (CircuitBreaker, "probes"),
    (partial(CircuitBreaker, probes=3), "probes_to_close"),
    (failures, "calls"),
    (failures, "minimum_calls"),
    (recent, "buckets"),
    (partial(hedge, 1.0), "max_hedges"),
    (partial(Percentile, 95), "at_least"),
    (ballot, "quorum"),
    (RetryExecutor, "max_attempts"),
    (partial(Timeout, 1.0), "max_abandoned"),
]
NUMBERS: list[tuple[Build, str]] = [
    (AdaptiveLimit, "smoothing"),
    (AdaptiveLimit, "tolerance"),
    (AdaptiveLimit, "backoff"),
    (AdaptiveLimit, "probe_interval"),
    (partial(Bulkhead, 1), "queue_timeout"),
    (CircuitBreaker, "reset_timeout"),
    (CircuitBreaker, "max_reset_timeout"),
    (CircuitBreaker, "half_open_timeout"),
    (CircuitBreaker, "jitter"),
    (CountWindow, "failure_rate"),
    (partial(CountWindow, slow_after=1.0), "slow_rate"),
    (partial(CountWindow, slow_rate=0.5), "slow_after"),
    (recent, "seconds"),
    (hedge, "delay"),
    (Percentile, "of"),
    (partial(Percentile, 95), "until_known"),
    (ballot, "ttl"),
    (ballot, "timeout"),
    (RetryBudget, "ratio"),
    (RetryBudget, "capacity"),
    (RetryExecutor, "base_delay"),
    (RetryExecutor, "max_delay"),
    (RetryExecutor, "deadline"),
    (partial(SharedCircuit, CircuitBreaker(), None), "interval"),
    (Timeout, "seconds"),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize(("build", "argument"), NUMBERS + WHOLE)
def test_what_is_no_finite_number_is_refused_by_name(build: Build, argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be"):
        build(**{argument: value})


@pytest.mark.parametrize("value", [2.5, 3.0])
@pytest.mark.parametrize(("build", "argument"), WHOLE)
def test_where_things_are_counted_a_fraction_is_refused(build: Build, argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be a whole number"):
        build(**{argument: value})


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: whole("n", 0), "n must be a whole number from 1, not 0"),
        (lambda: whole("n", 9, least=0, most=8), "n must be a whole number from 0 to 8, not 9"),
        (lambda: number("n", 0, above=0, most=1), "n must be a finite number above 0 and at most 1, not 0"),
        (lambda: number("n", 1, least=0, below=1), "n must be a finite number at least 0 and below 1, not 1"),
        (lambda: seconds("n", 0), "n must be a finite number of seconds above 0, not 0"),
        (lambda: seconds("n", -1, or_zero=True), "n must be a finite number of seconds at least 0, not -1"),
    ],
)
def test_the_message_says_what_it_may_be(check: Callable[[], None], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check()


def test_the_bounds_themselves_are_within() -> None:
    whole("n", 1)
    whole("n", 8, most=8)
    number("n", 0, least=0, below=1)
    number("n", 1, above=0, most=1)
    seconds("n", 0, or_zero=True)
