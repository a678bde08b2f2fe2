"""RetryExecutor's rules beyond the wait: an overall deadline, what must not be done twice, and blocking calls."""

import asyncio
import math
import random
from typing import Any

import pytest

from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.resilience import GiveUp, GiveUpDetails, RetryBudget, RetryExecutor, is_idempotent
from cortex_core.testing import FakeClock


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class Backend:
    """Raises the given errors, one a call, then answers `ok`. Each call takes `seconds`."""

    def __init__(self, *errors: Exception, clock: FakeClock | None = None, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.deadlines: list[float | None] = []
        self.clock, self.seconds = clock, seconds

    def ask(self) -> str:
        self.calls += 1
        self.deadlines.append(current().deadline)
        if self.clock:
            self.clock.pause(self.seconds)
        if self.errors:
            raise self.errors.pop(0)
        return "ok"

    async def __call__(self) -> str:
        return self.ask()


class Latest(random.Random):
    """Jitter that always takes its whole range."""

    def uniform(self, a: float, b: float) -> float:
        return b


def refused() -> Down:
    return Down("never began", attempted=False)


class TestOverallDeadline:
    async def test_no_attempt_begins_after_it(self) -> None:
        clock, heard = FakeClock(), list[GiveUpDetails]()
        backend = Backend(*(Down(str(n)) for n in range(9)), clock=clock, seconds=1.0)
        retry = RetryExecutor(9, 0.0, deadline=2.5, clock=clock, on_give_up=heard.append)

        with pytest.raises(Down, match="2"):
            await retry.execute(backend)

        assert backend.calls == 3
        assert [each.reason for each in heard] == [GiveUp.DEADLINE]

    async def test_the_attempts_know_it(self) -> None:
        clock = FakeClock()
        clock.pause(100)
        backend = Backend(Down("1"))

        await RetryExecutor(2, 0.0, deadline=5, clock=clock).execute(backend)

        assert backend.deadlines == [105, 105]
        assert current().deadline is None

    @pytest.mark.parametrize(("callers", "known"), [(3.0, 3.0), (8.0, 5.0)])
    async def test_the_nearer_one_counts(self, callers: float, known: float) -> None:
        backend = Backend()

        with use_context(deadline=callers):
            await RetryExecutor(deadline=5, clock=FakeClock()).execute(backend)

        assert backend.deadlines == [known]

    @pytest.mark.parametrize("deadline", [0, -1, math.nan, math.inf])
    def test_a_bad_one_is_named(self, deadline: float) -> None:
        with pytest.raises(ValueError, match="deadline"):
            RetryExecutor(deadline=deadline)


class TestWhatMustNotBeDoneTwice:
    @pytest.fixture(params=["constructed so", "made so"])
    def retry(self, request: pytest.FixtureRequest) -> RetryExecutor:
        if request.param == "constructed so":
            return RetryExecutor(3, 0.0, idempotent=False)
        return RetryExecutor(3, 0.0).for_unsafe()

    async def test_an_error_after_which_the_work_may_have_begun_is_final(self, retry: RetryExecutor) -> None:
        backend = Backend(Down("perhaps done"))

        with pytest.raises(Down):
            await retry.execute(backend)

        assert backend.calls == 1

    @pytest.mark.parametrize("error", [refused(), ConnectionRefusedError("no listener")])
    async def test_an_error_before_it_could_begin_is_not(self, retry: RetryExecutor, error: Exception) -> None:
        backend = Backend(error)

        assert await retry.execute(backend) == "ok"

    @pytest.mark.parametrize("error", [TimeoutError("slow"), ConnectionResetError("lost")])
    async def test_plain_errors_say_nothing_so_they_are_final(self, retry: RetryExecutor, error: Exception) -> None:
        with pytest.raises(type(error)):
            await retry.execute(Backend(error))

    async def test_who_listens_hears_why(self) -> None:
        heard = list[GiveUpDetails]()
        error = Down("perhaps done")

        with pytest.raises(Down):
            await RetryExecutor(3, name="payments", idempotent=False, on_give_up=heard.append).execute(Backend(error))

        assert heard == [GiveUpDetails(1, 3, GiveUp.UNSAFE, error, "payments")]

    async def test_the_safe_executor_stays_as_it_is_and_shares_its_budget(self) -> None:
        budget = RetryBudget(capacity=2)
        safe = RetryExecutor(2, 0.0, budget=budget)

        await safe.for_unsafe().execute(Backend(refused()))
        await safe.execute(Backend(Down("perhaps done")))

        assert budget.tokens == pytest.approx(0.2)

    @pytest.mark.parametrize("last", [refused(), ConnectionRefusedError("restarting")])
    async def test_many_attempts_have_begun_if_one_of_them_has(self, last: Exception) -> None:
        """Else an outer layer would take the last refusal for all of them, and do it twice."""
        inner = RetryExecutor(2, 0.0)
        backend = Backend(Down("perhaps done"), last)

        with pytest.raises(type(last)):
            await RetryExecutor(3, 0.0, idempotent=False).execute(inner.execute, backend)

        assert backend.calls == 2

    async def test_many_attempts_none_of_which_began_did_not_begin(self) -> None:
        inner = RetryExecutor(2, 0.0)
        backend = Backend(refused(), refused())

        assert await RetryExecutor(2, 0.0, idempotent=False).execute(inner.execute, backend) == "ok"

    async def test_a_refusal_that_is_not_worth_a_retry_speaks_for_all_attempts_too(self) -> None:
        last = Down("for good", attempted=False, retryable=False)

        with pytest.raises(Down):
            await RetryExecutor(3, 0.0).execute(Backend(Down("perhaps done"), last))

        assert last.attempted


class TestHttpsRule:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "get"])
    def test_these_methods_may_be_sent_twice(self, method: str) -> None:
        assert is_idempotent(method)

    @pytest.mark.parametrize("method", ["POST", "PATCH", "CONNECT", "LOCK", ""])
    def test_these_may_not(self, method: str) -> None:
        assert not is_idempotent(method, {"Content-Type": "application/json"}.items())

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_unless_a_key_tells_the_second_from_another(self, method: str) -> None:
        assert is_idempotent(method, [("idempotency-KEY", "8e03978e")])

    @pytest.mark.parametrize(("method", "key"), [("POST", ""), ("POST", "  "), ("CONNECT", "8e03978e")])
    def test_an_empty_key_tells_nothing_and_no_key_helps_other_methods(self, method: str, key: str) -> None:
        assert not is_idempotent(method, [("Idempotency-Key", key)])


class TestBlocking:
    def test_the_waits_are_the_same(self) -> None:
        clock = FakeClock()
        backend = Backend(Down("1"), Down("2"))
        retry = RetryExecutor(3, 1.0, clock=clock, rng=Latest())

        assert retry.execute_sync(backend.ask) == "ok"
        assert clock.monotonic() == 3.0

    def test_the_last_error_comes_out(self) -> None:
        with pytest.raises(Down, match="2"):
            RetryExecutor(2, 0.0).execute_sync(Backend(Down("1"), Down("2")).ask)

    def test_a_decorated_function_blocks(self) -> None:
        backend = Backend(Down("1"))

        assert RetryExecutor(2, 0.0)(backend.ask)() == "ok"


class TestGivingUp:
    @pytest.mark.parametrize(
        ("arguments", "error", "reason"),
        [
            ({"max_attempts": 1}, Down("1"), GiveUp.ATTEMPTS),
            ({"max_delay": 5}, Down("1", retry_after=6), GiveUp.RETRY_AFTER),
            ({"max_delay": 5}, Down("1", retry_after=math.nan), GiveUp.RETRY_AFTER),
            ({"deadline": 1}, Down("1", retry_after=1), GiveUp.DEADLINE),
        ],
    )
    async def test_its_reason_is_told(self, arguments: dict[str, Any], error: Down, reason: GiveUp) -> None:
        heard = list[GiveUpDetails]()

        with pytest.raises(Down):
            await RetryExecutor(**arguments, clock=FakeClock(), on_give_up=heard.append).execute(Backend(error))

        assert [each.reason for each in heard] == [reason]

    async def test_an_error_that_is_none_of_its_business_is_not_given_up(self) -> None:
        heard = list[GiveUpDetails]()

        with pytest.raises(ValueError, match="bug"):
            await RetryExecutor(on_give_up=heard.append).execute(Backend(ValueError("bug")))

        assert heard == []


async def test_a_cancelled_wait_has_spent_its_token() -> None:
    """A token is for a try that may come: it is not given back, so that no path can make one."""
    clock, budget = FakeClock(), RetryBudget(capacity=2)
    retry = RetryExecutor(2, 30.0, budget=budget, clock=clock, rng=Latest())
    task = asyncio.create_task(retry.execute(Backend(Down("1"))))
    await clock.advance(1)

    task.cancel()
    await asyncio.wait([task])

    assert budget.tokens == 1.0
