"""A bound that is no number bounds nothing: it is refused, by its name."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from cortex_core.asgi import (
    BodyLimit,
    ClientAddress,
    Compression,
    CspReports,
    Decompression,
    Hsts,
    Precompressed,
    Pressure,
    RateLimit,
    Rule,
    by_client,
)
from cortex_core.ratelimit import FixedWindow, RateLimiter


async def app(scope: Any, receive: Any, send: Any) -> None: ...


def rule(**settings: Any) -> Rule:
    return Rule([(FixedWindow(10, 60), by_client())], **settings)


def rate_limit(**settings: Any) -> RateLimit:
    return RateLimit(app, RateLimiter(), [rule()], **settings)


WHOLE: list[tuple[Callable[..., Any], str]] = [
    (lambda **bad: BodyLimit(app, **bad), "default"),
    (lambda limits: BodyLimit(app, default=1, limits={"/files": limits}), "limits"),
    (lambda **bad: Decompression(app, **bad), "limit"),
    (lambda **bad: Compression(app, **bad), "threshold"),
    (lambda **bad: Compression(app, **bad), "off_loop"),
    (lambda **bad: CspReports(print, **bad), "max_body"),
    (lambda **bad: CspReports(print, **bad), "max_reports"),
    (Precompressed, "max_bytes"),
    (Precompressed, "max_body"),
    (ClientAddress, "ipv6_prefix"),
    (Hsts, "max_age"),
    (rule, "cost"),
]
POSITIVE: list[tuple[Callable[..., Any], str]] = [
    (lambda **bad: Decompression(app, limit=1, **bad), "ratio"),
    (Pressure, "reduced_at"),
    (Pressure, "off_at"),
    (Pressure, "interval"),
]


@pytest.mark.parametrize(("make", "argument"), WHOLE)
@pytest.mark.parametrize("value", [-1, 1.5, 2.0, math.nan, math.inf, "1", True])
def test_what_counts_must_be_a_whole_number(make: Callable[..., Any], argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        make(**{argument: value})


@pytest.mark.parametrize(("make", "argument"), POSITIVE)
@pytest.mark.parametrize("value", [-1, 0, math.nan, math.inf, "1", True])
def test_what_measures_must_be_a_number_above_0(make: Callable[..., Any], argument: str, value: Any) -> None:
    with pytest.raises(ValueError, match=argument):
        make(**{argument: value})


@pytest.mark.parametrize("value", ["/health*", b"/health", ["health"], [""], [1], [None]])
def test_paths_that_are_exempt_are_a_sequence_of_paths(value: Any) -> None:
    with pytest.raises(ValueError, match="exempt"):
        rate_limit(exempt=value)


@pytest.mark.parametrize("value", ["GET", {"get"}, {"Get"}, [""], {1}, [], frozenset()])
def test_methods_are_a_set_in_capitals(value: Any) -> None:
    with pytest.raises(ValueError, match="methods"):
        rule(methods=value)
