"""What a policy may be."""

from collections.abc import Callable
from typing import Any

import pytest

from cortex_core.ratelimit import FixedWindow, SlidingWindow, TokenBucket
from cortex_core.ratelimit.policies import local_share

WINDOWS = [FixedWindow, SlidingWindow]


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("limit", [0, -1, 1.5, True, 10**9 + 1])
def test_a_limit_is_a_whole_number_from_1(kind: Callable[..., object], limit: Any) -> None:
    with pytest.raises(ValueError, match="limit must be a whole number from 1"):
        kind(limit, 60)


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("window", [0, -1, float("inf"), float("nan"), 366 * 86_400 + 1])
def test_a_window_is_longer_than_nothing_and_shorter_than_a_year(kind: Callable[..., object], window: float) -> None:
    with pytest.raises(ValueError, match="window must be more than 0"):
        kind(100, window)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": 2_000_000}, "rate must be at most a million a second"),
        ({"burst": 0}, "burst"),
        ({"per": 0}, "per"),
    ],
)
def test_a_bucket_fills_and_holds_something(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TokenBucket(**{"rate": 10, "burst": 20, **settings})


@pytest.mark.parametrize("make", [lambda **s: FixedWindow(1, 1, **s), lambda **s: TokenBucket(1, 1, **s)])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": 'a"b'}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"on_outage": "open"}, "on_outage"),
        ({"share": 0}, "share"),
        ({"share": 1.1}, "share"),
    ],
)
def test_its_manners_are_named_when_they_are_wrong(
    make: Callable[..., object], settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        make(**settings)


def test_policies_are_values() -> None:
    assert SlidingWindow(100, 60) == SlidingWindow(100, 60)
    assert len({SlidingWindow(100, 60), SlidingWindow(100, 60), FixedWindow(100, 60), TokenBucket(1, 100)}) == 3
    with pytest.raises(AttributeError):
        SlidingWindow(100, 60).limit = 1000  # type: ignore[misc]


def test_what_is_counted_together_has_one_id() -> None:
    policies = [
        FixedWindow(100, 60),
        SlidingWindow(100, 60),
        SlidingWindow(101, 60),
        SlidingWindow(100, 60.1),
        SlidingWindow(100, 60, name="search"),
        TokenBucket(100, 100, 60),
        TokenBucket(101, 100, 60),
    ]

    assert len({policy.id for policy in policies}) == len(policies)
    assert SlidingWindow(100, 60).id == SlidingWindow(100, 60.0, on_outage="local", share=0.5).id


def test_a_bucket_tells_its_limit_and_the_seconds_it_takes_to_fill() -> None:
    bucket = TokenBucket(rate=100, burst=50, per=60)

    assert (bucket.limit, bucket.window, bucket.interval) == (50, 30.0, 0.6)


def test_a_share_of_a_policy_is_at_least_one_request() -> None:
    assert local_share(SlidingWindow(100, 60, share=0.25)).limit == 25
    assert local_share(FixedWindow(3, 60, share=0.25)).limit == 1
    bucket = local_share(TokenBucket(100, 40, share=0.5))
    assert isinstance(bucket, TokenBucket)
    assert (bucket.rate, bucket.burst) == (50, 20)
