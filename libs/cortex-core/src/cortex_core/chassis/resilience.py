"""The resilience blocks of a service: made with one clock and one budget, and heard: metrics and log lines, named alike
in every service.

Refuses to choose bounds: who calls somebody knows them. Next: resilience_reporter.py has what is heard, upstream.py
what counts against a service.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from cortex_core.chassis.resilience_reporter import ResilienceReporter
from cortex_core.chassis.upstream import Upstream, is_evidence
from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.resilience import (
    AdaptiveLimit,
    Ballot,
    Bulkhead,
    CircuitBreaker,
    CircuitState,
    Fallback,
    Hedge,
    Percentile,
    RetryBudget,
    RetryExecutor,
    SharedCircuit,
    Timeout,
    TimeWindow,
)


class Resilience:
    """Makes blocks whose news are counted. Options are those of the block's own constructor, hooks and clock aside.

    `budget` is shared by all retries and hedges of this process: unless told otherwise a fifth of its traffic, and ten
    more. With `ballots` (by a circuit's name) replicas share their circuits, all of them, within `async with`; the
    ballots are closed at its end.
    """

    def __init__(
        self,
        metrics: MetricsCollector | None = None,
        logger: Logger | None = None,
        clock: Clock | None = None,
        *,
        budget: RetryBudget | None = None,
        ballots: Callable[[str], Ballot] | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.budget = budget or RetryBudget()
        self._reporter = ResilienceReporter(metrics or MetricsCollector(), logger or Logger.get("resilience"))
        self._ballots = ballots
        self._circuits: list[CircuitBreaker] = []
        self._sharing: dict[asyncio.Task[None], str] | None = None  # None: outside of `async with`

    async def __aenter__(self) -> Self:
        """From now on circuits are shared: those that there are, and those to come."""
        self._sharing = {}
        for breaker in self._circuits:
            self._share(breaker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        tasks, self._sharing = self._sharing or {}, None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in tasks.values():
            self._reporter.show_shared(name, shared=False)

    def _share(self, breaker: CircuitBreaker) -> None:
        if self._ballots is None or self._sharing is None:
            return
        shared = SharedCircuit(
            breaker, self._ballots(breaker.name), clock=self.clock, on_sharing=self._reporter.on_sharing
        )
        self._reporter.show_shared(breaker.name, shared=True)
        self._sharing[asyncio.create_task(shared.run(), name=f"share circuit {breaker.name}")] = breaker.name

    def circuit_breaker(self, name: str, **options: Any) -> CircuitBreaker:
        """Shown as closed from now on, and shared where circuits are. One name is one circuit."""
        self._reporter.show(name, CircuitState.CLOSED)
        breaker = CircuitBreaker(
            name=name,
            clock=self.clock,
            on_change=self._reporter.on_change,
            on_rejection=self._reporter.on_rejection,
            **options,
        )
        self._circuits.append(breaker)
        self._share(breaker)
        return breaker

    def upstream(self, name: str, places: int, *, queue_timeout: float) -> Upstream:
        """What stands before a service that is called: at most `places` calls at a time, as many more wait for
        `queue_timeout` seconds; a circuit that opens for a second when half of at least twenty calls within ten seconds
        are evidence against it."""
        breaker = self.circuit_breaker(
            name,
            window=TimeWindow(10.0, failure_rate=0.5, minimum_calls=20),
            reset_timeout=1.0,
            is_failure=is_evidence,
        )
        return Upstream(breaker, self.bulkhead(name, places, places, queue_timeout))

    def bulkhead(
        self, name: str, max_concurrent: int, max_queue: int = 0, queue_timeout: float | None = 1.0
    ) -> Bulkhead:
        return Bulkhead(
            max_concurrent,
            max_queue,
            queue_timeout,
            name=name,
            clock=self.clock,
            on_refusal=self._reporter.on_admission,
        )

    def retry(self, name: str, **options: Any) -> RetryExecutor:
        """Within the budget."""
        return RetryExecutor(
            name=name,
            clock=self.clock,
            budget=self.budget,
            on_retry=self._reporter.on_retry,
            on_give_up=self._reporter.on_give_up,
            **options,
        )

    def timeout(self, name: str, seconds: float, **options: Any) -> Timeout:
        return Timeout(seconds, name=name, clock=self.clock, on_timeout=self._reporter.on_timeout, **options)

    def fallback(self, name: str, *value: Any, **options: Any) -> Fallback:
        return Fallback(*value, name=name, on_fallback=self._reporter.on_fallback, **options)

    def hedge(self, name: str, delay: float | Percentile, **options: Any) -> Hedge:
        """Within the budget, unless `options` bring another."""
        options = {"budget": self.budget, **options}
        return Hedge(delay, name=name, clock=self.clock, on_hedge=self._reporter.on_hedge, **options)

    def adaptive_limit(self, name: str, initial: int = 20, **options: Any) -> AdaptiveLimit:
        """Shown with `initial` places from now on."""
        self._reporter.show_limit(name, initial)
        return AdaptiveLimit(
            initial,
            name=name,
            clock=self.clock,
            on_admission=self._reporter.on_admission,
            on_limit=self._reporter.on_limit,
            **options,
        )
