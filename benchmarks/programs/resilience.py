"""Breakers, retries and bulkheads round a call that succeeds: ours and the peers', each as its documents show it."""

from datetime import timedelta

import aiobreaker
import pybreaker
import tenacity
from purgatory import AsyncCircuitBreakerFactory

from benchmarks.programs.calls import BARE, Call, main
from cortex_core.resilience import Bulkhead, CircuitBreaker, CompositePolicy, RetryBudget, RetryExecutor, TimeWindow


async def charge(amount: int) -> int:
    return amount


def charge_sync(amount: int) -> int:
    return amount


def as_in_the_hub() -> CompositePolicy:
    """What the service client stands on: see chassis/resilience.py."""
    return CompositePolicy(
        RetryExecutor(max_attempts=3, base_delay=0.05, max_delay=1.0, budget=RetryBudget(), on_retry=unheard),
        CircuitBreaker(window=TimeWindow(10.0, failure_rate=0.5, minimum_calls=20), on_change=unheard),
        Bulkhead(100, 100, 0.5, on_admission=unheard),
    )


def unheard(details: object) -> None:
    """A hook that does nothing: its call is what is measured."""


def ours() -> tuple[dict[str, Call], dict[str, Call]]:
    breaker = CircuitBreaker(failure_threshold=5, reset_timeout=30.0)
    retry = RetryExecutor(max_attempts=3, base_delay=1.0)
    bulkhead = Bulkhead(max_concurrent=16, max_queue=16)
    three = CompositePolicy(retry, breaker, bulkhead)
    blocks = {
        "breaker": breaker,
        "retry": retry,
        "bulkhead": bulkhead,
        "breaker + retry + bulkhead": three,
        "the three with a budget, a time window and hooks": as_in_the_hub(),
    }
    return (
        {f"ours {name}": (block.execute, (charge, 1)) for name, block in blocks.items()}
        | {f"ours {name}, decorator": (block(charge), (1,)) for name, block in blocks.items()},
        {f"ours {name}, sync": (block.execute_sync, (charge_sync, 1)) for name, block in blocks.items()},
    )


def peers() -> tuple[dict[str, Call], dict[str, Call]]:
    retry = {"stop": tenacity.stop_after_attempt(3), "wait": tenacity.wait_random_exponential(1, 30)}
    retrying = tenacity.AsyncRetrying(**retry)
    purgatory = AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=30)
    breaker = aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=30))
    return (
        {
            "tenacity": (retrying, (charge, 1)),
            "tenacity, decorator": (tenacity.retry(**retry)(charge), (1,)),
            "purgatory, decorator": (purgatory("payments")(charge), (1,)),
            "aiobreaker": (breaker.call_async, (charge, 1)),
            "aiobreaker, decorator": (breaker(charge), (1,)),
            "purgatory + tenacity, decorators": (tenacity.retry(**retry)(purgatory("orders")(charge)), (1,)),
        },
        {
            "tenacity, sync": (tenacity.Retrying(**retry), (charge_sync, 1)),
            "pybreaker, sync": (pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30).call, (charge_sync, 1)),
        },
    )


if __name__ == "__main__":
    (our_async, our_sync), (peer_async, peer_sync) = ours(), peers()
    main(
        {BARE: (charge, (1,)), **our_async, **peer_async},
        {f"{BARE}, sync": (charge_sync, (1,)), **our_sync, **peer_sync},
    )
