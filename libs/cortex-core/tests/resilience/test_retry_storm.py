"""Three layers over a dead upstream: what arrives there is 1.2 times what came in, not 27 times."""

from cortex_core.kernel import CortexError, Kind, current, use_context
from cortex_core.resilience import RetryBudget, RetryExecutor, format_retry_budget, parse_retry_budget

ATTEMPTS, LAYERS, CALLS = 3, 3, 1_000


class Down(CortexError):
    code, kind = "test.down", Kind.UNAVAILABLE


class DeadUpstream:
    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        raise Down("down")


class Layer:
    """A service: what it knows of its caller is what a header says."""

    def __init__(self, retry: RetryExecutor, callee: "Layer | DeadUpstream") -> None:
        self.retry = retry
        self.callee = callee

    async def __call__(self) -> None:
        budget = current().retry_budget
        header = None if budget is None else format_retry_budget(budget)
        with use_context(retry_budget=parse_retry_budget(header)):
            await self.retry.execute(self.callee)


async def load_on_the_upstream(*budgets: RetryBudget | None, calls: int) -> int:
    """How many calls reach it while `calls` come in."""
    upstream = DeadUpstream()
    first: Layer | DeadUpstream = upstream
    for budget in budgets:
        first = Layer(RetryExecutor(ATTEMPTS, 0.0, budget=budget), first)
    for _ in range(calls):
        try:
            await first()
        except Down:
            continue
    return upstream.calls


async def test_without_a_budget_the_layers_multiply() -> None:
    assert await load_on_the_upstream(*[None] * LAYERS, calls=100) == 27 * 100


async def test_budgets_of_three_layers_do_not_even_add_up() -> None:
    budgets = [RetryBudget(ratio=0.2, capacity=10) for _ in range(LAYERS)]

    load = await load_on_the_upstream(*budgets, calls=CALLS)

    assert 1.15 * CALLS < load <= 1.2 * CALLS + LAYERS * 10


async def test_a_caller_who_promises_itself_more_gets_no_more() -> None:
    with use_context(retry_budget=1_000.0):
        load = await load_on_the_upstream(RetryBudget(ratio=0.2, capacity=10), calls=CALLS)

    assert load <= 1.2 * CALLS + 10


async def test_a_caller_who_forbids_retries_gets_those_already_paid_for() -> None:
    with use_context(retry_budget=0.0):
        load = await load_on_the_upstream(RetryBudget(ratio=0.2, capacity=10), calls=CALLS)

    assert load == CALLS + 10
