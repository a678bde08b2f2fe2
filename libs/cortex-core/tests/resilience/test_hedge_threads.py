"""Hedge for calls that block: the same, in threads that end when they end."""

import threading

import pytest

from cortex_core.kernel import current, use_context
from cortex_core.resilience import Hedge, Percentile, RetryBudget


class Backend:
    """Attempts that block until they are let go, unless they are to answer at once."""

    def __init__(self, *answers_at_once: bool) -> None:
        self.answers_at_once = answers_at_once
        self.begun = 0
        self.carried: list[float | None] = []
        self.gate = threading.Event()

    def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.carried.append(current().retry_budget)
        if not self.answers_at_once[number - 1]:
            assert self.gate.wait(30)
        return number


def test_a_quick_answer_is_the_only_attempt() -> None:
    backend = Backend(True)

    assert Hedge(30, idempotent=True).execute_sync(backend) == 1
    assert backend.begun == 1


def test_a_second_attempt_may_win_while_the_first_goes_on() -> None:
    backend = Backend(False, True)

    assert Hedge(0.001, idempotent=True).execute_sync(backend) == 2

    backend.gate.set()


def test_the_context_reaches_the_threads() -> None:
    backend = Backend(False, True)
    hedge = Hedge(0.001, idempotent=True, budget=RetryBudget(ratio=0.2))

    with use_context(retry_budget=0.1):
        hedge.execute_sync(backend)

    assert backend.carried == [0.1, 0.0]
    backend.gate.set()


def test_the_last_error_comes_out() -> None:
    first_may_fail = threading.Event()
    attempts = []

    def fails() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            assert first_may_fail.wait(30)
            raise ConnectionError("first")
        first_may_fail.set()
        raise ConnectionError("second")

    with pytest.raises(ConnectionError):
        Hedge(0.001, idempotent=True).execute_sync(fails)

    assert len(attempts) == 2


def test_without_a_token_the_first_attempt_is_waited_for() -> None:
    budget = RetryBudget(ratio=0.0, capacity=1)
    budget.withdraw()
    backend = Backend(False, True)
    refused = threading.Event()

    def on_hedge(details: object) -> None:
        refused.set()
        backend.gate.set()

    assert Hedge(0.001, idempotent=True, budget=budget, on_hedge=on_hedge).execute_sync(backend) == 1
    assert refused.is_set()


def test_what_blocking_calls_take_is_measured() -> None:
    hedge = Hedge(Percentile(50, until_known=30, at_least=1), idempotent=True)

    hedge.execute_sync(lambda: None)

    assert hedge.delay < 30


def test_a_function_is_decorated() -> None:
    @Hedge(30, idempotent=True)
    def add(one: int, *, other: int) -> int:
        return one + other

    assert add(1, other=2) == 3
