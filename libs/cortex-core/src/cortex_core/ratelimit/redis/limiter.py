"""The limiter over a pipeline: what is asked, what an answer means, and what holds while there is none.

Refuses to know the client library: `cortex_core.ratelimit.redis` alone does.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.ratelimit.errors import LimiterUnavailable
from cortex_core.ratelimit.hooks import LimiterHooks, OutageDetails, RefusalDetails, Unheard, tell
from cortex_core.ratelimit.limiter import Decision, Demand, checked, decided, decision_of
from cortex_core.ratelimit.memory import RateLimiter
from cortex_core.ratelimit.policies import local_share, sliding
from cortex_core.ratelimit.redis import commands
from cortex_core.ratelimit.redis.batch import Batches
from cortex_core.ratelimit.redis.pipeline import LinkLost, Pipeline, Wire

_SECOND: Final = 1_000_000


class SharedLimiter:
    """See `DistributedRateLimiter`."""

    def __init__(
        self,
        wire: Wire,
        *,
        namespace: str,
        timeout: float,
        cooldown: float,
        max_local_keys: int,
        clock: Clock | None,
        hooks: LimiterHooks | None,
    ) -> None:
        for name, seconds in (("timeout", timeout), ("cooldown", cooldown)):
            if not 0 < seconds <= 3600:
                raise ValueError(f"{name} must be more than 0 and at most 3600 seconds, not {seconds!r}")
        if not 1 <= len(namespace) <= 64:
            raise ValueError(f"namespace must be 1 to 64 characters, not {namespace!r}")
        self._namespace = namespace
        self._cooldown = cooldown
        self._clock = clock or SystemClock()
        self._hooks = hooks or Unheard()
        self._local = RateLimiter(max_keys=max_local_keys, clock=self._clock, hooks=self._hooks, source="outage")
        self._pipeline = Pipeline(wire, timeout, self._begin_outage)
        self._batches = Batches(self._pipeline, namespace)
        self._out = False
        self._recovery: asyncio.Task[None] | None = None
        self._loading: asyncio.Future[Any] | None = None
        self._closed = False

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision:
        if len(demands) != 1 or not 1 <= cost <= demands[0][0].limit:  # the hot path needs no more
            demands = checked(demands, cost)
        if self._closed:
            raise LimiterUnavailable("the limiter is closed")
        if self._out:
            return self._without_redis(demands, cost)
        try:
            loading = self._loading
            reply = await self._ask(demands, cost)
            if _is_unknown_script(reply):
                self._load(loading)
                reply = await self._ask(demands, cost)
        except LinkLost:
            return self._without_redis(demands, cost)
        if isinstance(reply, Exception):  # loading, read-only, out of memory, not permitted
            self._begin_outage(reply)
            return self._without_redis(demands, cost)
        return self._decision(demands, reply)

    async def check_limit(self, key: str, limit: int, window: float) -> Decision:
        return await self.acquire((sliding(limit, window), key))

    async def check(self) -> None:
        """For health reports. Raises LimiterUnavailable while the shared counts cannot be reached."""
        if self._closed or self._out or not await self._answers():
            raise LimiterUnavailable("the shared counts cannot be reached", retry_after=self._cooldown)

    async def aclose(self) -> None:
        """Closes the connection. Whoever waits, and comes later, is told LimiterUnavailable."""
        self._closed = True
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._pipeline.aclose()

    def _ask(self, demands: Sequence[Demand], cost: int) -> Awaitable[Any]:
        if len(demands) == 1:
            return self._batches.join(demands[0], cost)
        return self._pipeline.ask(commands.decide(self._namespace, demands, cost))

    def _load(self, before: asyncio.Future[Any] | None) -> asyncio.Future[Any]:
        """Once for all who were refused together: unless somebody has begun since `before`, which was the last to load
        when the caller asked. What is asked after it finds the script."""
        if self._loading is None or self._loading is before:
            self._loading = asyncio.ensure_future(self._pipeline.ask(commands.LOAD))
            self._loading.add_done_callback(asyncio.Future.exception)
        return self._loading

    def _decision(self, demands: Sequence[Demand], reply: list[int]) -> Decision:
        if len(demands) == 1:
            policy, (remaining, reset, wait) = demands[0][0], reply
            decision = decided((not wait, policy, policy.limit, remaining, reset / _SECOND, wait / _SECOND))
        else:
            decision = decision_of(
                (policy, remaining, reset / _SECOND, wait / _SECOND)
                for (policy, _), remaining, reset, wait in zip(
                    demands, reply[::3], reply[1::3], reply[2::3], strict=True
                )
            )
        if not decision.allowed:
            tell(self._hooks.on_refusal, RefusalDetails(decision.policy.name, "redis", decision.retry_after))
        return decision

    def _without_redis(self, demands: Sequence[Demand], cost: int) -> Decision:
        shares = [(local_share(policy), key) for policy, key in demands]
        if self._closed or any(
            policy.on_outage == "closed" or cost > share.limit
            for (policy, _), (share, _) in zip(demands, shares, strict=True)
        ):
            raise LimiterUnavailable("the shared counts cannot be reached", retry_after=self._cooldown)
        return self._local.decide(*shares, cost=cost)

    def _begin_outage(self, error: Exception) -> None:
        if self._closed or self._out:
            return
        self._out = True
        tell(self._hooks.on_outage, OutageDetails(begun=True, error=type(error).__name__))
        self._recovery = asyncio.get_running_loop().create_task(self._recover(), name="ratelimit-recovery")

    async def _recover(self) -> None:
        began = self._clock.monotonic()
        await self._clock.sleep(self._cooldown)
        while (
            not await self._answers()
        ):  # pragma: no branch - 3.11 traces no frame that an exception was thrown through
            await self._clock.sleep(self._cooldown)
        self._out = False
        tell(self._hooks.on_outage, OutageDetails(begun=False, seconds=self._clock.monotonic() - began))

    async def _answers(self) -> bool:
        try:
            loading = self._loading
            reply = await self._pipeline.ask(commands.PROBE)
            if _is_unknown_script(reply):
                reply = await asyncio.shield(self._load(loading))
            return not isinstance(reply, Exception)
        except LinkLost:
            return False


def _is_unknown_script(reply: object) -> bool:
    return isinstance(reply, Exception) and str(reply).startswith("NOSCRIPT")
