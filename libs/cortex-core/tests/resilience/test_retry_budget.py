"""RetryBudget: what an original call brings, what a layer keeps, what a retry costs; and the header's text."""

import logging
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.resilience import (
    GiveUp,
    GiveUpDetails,
    RetryBudget,
    RetryExecutor,
    format_retry_budget,
    parse_retry_budget,
)
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


def spent(budget: RetryBudget) -> RetryBudget:
    while budget.withdraw():
        pass
    return budget


def test_it_starts_full_and_a_retry_costs_one_token() -> None:
    budget = RetryBudget(capacity=2)

    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    assert budget.tokens == 0


def test_five_calls_pay_for_one_retry() -> None:
    budget = spent(RetryBudget(ratio=0.2))

    for _ in range(4):
        budget.deposit(None)
    assert not budget.withdraw()

    budget.deposit(None)
    assert budget.withdraw()


def test_tenths_add_up_to_a_token_without_an_error_of_floats() -> None:
    budget = spent(RetryBudget(ratio=0.1))

    for _ in range(10):
        budget.deposit(None)

    assert budget.tokens == 1.0


def test_what_the_bucket_cannot_hold_is_passed_on() -> None:
    budget = RetryBudget(ratio=0.2, capacity=1)
    assert budget.deposit(None) == 0.2

    budget.withdraw()
    for _ in range(4):
        assert budget.deposit(None) == 0.0
    assert budget.deposit(0.2) == 0.0
    assert budget.deposit(0.2) == 0.2
    assert budget.tokens == 1.0


def test_what_fits_in_part_is_kept_in_part() -> None:
    budget = RetryBudget(ratio=0.5, capacity=1.2)
    budget.withdraw()  # 0.2 of 1.2 are left
    budget.deposit(0.5)

    assert budget.deposit(0.5) == 0.0
    assert budget.tokens == 1.2
    budget.withdraw()
    budget.deposit(0.5)
    budget.deposit(0.4)
    assert budget.deposit(0.5) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("brought", "kept"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (0.1, 0.1), (0.2, 0.2), (5.0, 0.2), (math.inf, 0.2)]
)
def test_a_caller_can_only_lower_what_its_call_brings(brought: float, kept: float) -> None:
    budget = spent(RetryBudget(ratio=0.2))

    budget.deposit(brought)

    assert budget.tokens == kept


def test_threads_neither_make_nor_lose_tokens() -> None:
    budget = RetryBudget(ratio=0.2, capacity=1_000_000)
    for _ in range(999_990):
        budget.withdraw()
    taken = []

    def work() -> None:
        for _ in range(1_000):
            budget.deposit(None)
            taken.append(budget.withdraw())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) + budget.tokens == 10 + 8 * 1_000 * 0.2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ratio": -0.1}, "ratio"),
        ({"ratio": 1.1}, "ratio"),
        ({"ratio": math.nan}, "ratio"),
        ({"capacity": 0.9}, "capacity"),
        ({"capacity": math.inf}, "capacity"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RetryBudget(**arguments)


class TestInAnExecutor:
    @staticmethod
    async def tried(retry: RetryExecutor) -> list[float | None]:
        """What each attempt of a call to a dead upstream carried on."""
        carried: list[float | None] = []

        async def call() -> None:
            carried.append(current().retry_budget)
            raise Down("down")

        with pytest.raises(Down):
            await retry.execute(call)
        return carried

    async def test_an_original_call_carries_the_rest_and_a_retry_nothing(self) -> None:
        retry = RetryExecutor(3, 0.0, budget=RetryBudget(ratio=0.2, capacity=10))

        assert await self.tried(retry) == [0.2, 0.0, 0.0]

    async def test_what_the_caller_left_us_is_all_there_is(self) -> None:
        retry = RetryExecutor(1, budget=RetryBudget(ratio=0.2))

        with use_context(retry_budget=0.05):
            assert await self.tried(retry) == [0.05]

    async def test_without_a_token_there_is_no_other_attempt(self) -> None:
        heard: list[GiveUpDetails] = []
        retry = RetryExecutor(3, 0.0, budget=spent(RetryBudget()), name="payments", on_give_up=heard.append)

        assert await self.tried(retry) == [0.0]
        assert [(each.reason, each.attempt, each.name) for each in heard] == [(GiveUp.BUDGET, 1, "payments")]

    async def test_an_attempt_that_would_not_come_anyway_costs_no_token(self) -> None:
        budget = RetryBudget(ratio=0.2, capacity=10)
        clock = FakeClock()

        with use_context(deadline=clock.monotonic()):
            await self.tried(RetryExecutor(3, 0.0, budget=budget, clock=clock))

        assert budget.tokens == 10

    async def test_the_callers_context_is_as_it_was(self) -> None:
        retry = RetryExecutor(2, 0.0, budget=RetryBudget())

        with use_context(retry_budget=0.1):
            await self.tried(retry)
            assert current().retry_budget == 0.1

    def test_blocking_calls_carry_it_too(self) -> None:
        carried: list[float | None] = []

        def call() -> None:
            carried.append(current().retry_budget)
            raise Down("down")

        with pytest.raises(Down):
            RetryExecutor(2, 0.0, budget=RetryBudget()).execute_sync(call)

        assert carried == [0.2, 0.0]

    async def test_a_hook_that_breaks_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        def broken(details: GiveUpDetails) -> None:
            raise RuntimeError("the hook is broken")

        with caplog.at_level(logging.ERROR):
            await self.tried(RetryExecutor(1, on_give_up=broken))

        assert "the hook is broken" in caplog.text


class TestHeader:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [("0.2", 0.2), ("0", 0.0), ("0.", 0.0), ("1", 1.0), ("1.000", 1.0), ("0.125", 0.125), ("0.000", 0.0)],
    )
    def test_well_formed_text_is_read(self, text: str, tokens: float) -> None:
        assert parse_retry_budget(text) == tokens

    @pytest.mark.parametrize(
        "text",
        [None, "", "-0.1", "1.1", "2", ".2", "0.1234", "0,2", "nan", "inf", "1e-3", " 0.2", "0.2\n", "\u0660.\u0662"],
    )
    def test_malformed_text_is_as_good_as_none(self, text: str | None) -> None:
        assert parse_retry_budget(text) is None

    @given(st.text() | st.from_regex(r"[01]\.[0-9]{0,5}"))
    def test_no_text_raises(self, text: str) -> None:
        tokens = parse_retry_budget(text)

        assert tokens is None or 0.0 <= tokens <= 1.0

    @given(st.integers(0, 1000))
    def test_what_is_written_is_read(self, thousandths: int) -> None:
        assert parse_retry_budget(format_retry_budget(thousandths / 1000)) == thousandths / 1000

    @given(st.floats())
    def test_whatever_is_written_can_be_read_and_is_no_more_than_it_was(self, tokens: float) -> None:
        text = format_retry_budget(tokens)

        read = parse_retry_budget(text)
        assert read is not None
        assert read <= max(tokens, 0.0) + 1e-6 or math.isnan(tokens)

    def test_it_is_short(self) -> None:
        assert [format_retry_budget(each) for each in (0.2, 0.0, 1.0, 0.1999)] == ["0.2", "0", "1", "0.199"]
