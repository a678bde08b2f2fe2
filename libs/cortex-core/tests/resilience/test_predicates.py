"""A predicate that breaks: the call's own error comes out, the log says what broke, and the block takes care."""

import logging
from collections.abc import Callable

import pytest

from cortex_core.resilience import AdaptiveLimit, CircuitBreaker, Fallback, Policy, RetryExecutor


def broken(error: BaseException) -> bool:
    raise LookupError("the predicate is broken")


BLOCKS: list[tuple[Callable[[], Policy], str]] = [
    (lambda: AdaptiveLimit(drops_on=broken, name="search"), "drops_on of limit search"),
    (lambda: CircuitBreaker(is_failure=broken, name="search"), "is_failure of circuit search"),
    (lambda: Fallback("instead", when=broken, name="search"), "when of fallback search"),
    (lambda: RetryExecutor(retry_on=broken, name="search"), "retry_on of retry search"),
]


@pytest.mark.parametrize(("make", "named"), BLOCKS)
async def test_it_does_not_hide_the_calls_error(
    make: Callable[[], Policy], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    async def call() -> None:
        raise_it()

    def raise_it() -> None:
        nonlocal calls
        calls += 1
        raise TimeoutError("down")

    with caplog.at_level(logging.ERROR):
        with pytest.raises(TimeoutError, match="down"):
            await make().execute(call)
        with pytest.raises(TimeoutError, match="down"):
            make().execute_sync(raise_it)

    assert calls == 2
    assert caplog.text.count("LookupError: the predicate is broken") == 2
    assert named in caplog.text


def test_an_adaptive_limit_has_its_place_back_and_saw_no_drop() -> None:
    limit = AdaptiveLimit(initial=100, drops_on=broken)

    limit.release(limit.acquire(), TimeoutError("down"))

    assert (limit.in_use, limit.limit) == (0, 100)


def test_a_breaker_counts_a_failure() -> None:
    breaker = CircuitBreaker(is_failure=broken)

    with pytest.raises(TimeoutError), breaker:
        raise TimeoutError

    assert breaker.status.failures == 1
