"""Leases: for a key that is asked for often, many tokens in one round trip, spent in this process.

Exact limits stay with the limiter inside, which is asked whenever there is nothing in hand. Refuses to know where that
one counts. Next: `purse.py` is what is known of one key.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from cortex_core.kernel.clock import Clock, SystemClock
from cortex_core.ratelimit.errors import LimiterUnavailable
from cortex_core.ratelimit.hooks import LeaseDetails, LimiterHooks, RefusalDetails, Unheard, tell
from cortex_core.ratelimit.limiter import Decision, Demand, Limiter, Standing, checked, decision_of
from cortex_core.ratelimit.policies import Policy, sliding
from cortex_core.ratelimit.purse import Purse


class LeasedLimiter:
    """A `Limiter` over another one. For one event loop; made once a worker (process).

    The bound: in any window all workers together admit at most the limit, and `size` for each worker. A lease is
    charged when it is taken and spent later, and a worker has one lease of a key at a time: it takes the next when that
    one is spent or has expired. So of what a worker admits in a window, one lease at most was charged before the window
    began; the rest was charged within it, and that the limiter inside bounds. test_lease_bound.py reaches the bound,
    and finds nothing beyond it.

    The price: what is not spent within `ttl` seconds is lost to everybody until its window has passed. So a key is
    leased only once it is hot (`hot` units within a second, in this worker); a lease is no larger than what was asked
    for in that second, and takes at most half of what remains: near its limit a client is counted one by one.

    A refusal is remembered until its `retry_after`: a flood of refused calls costs no round trips. At most `max_keys`
    keys are known; the one known longest is forgotten for a newcomer, and what it had in hand with it.
    """

    def __init__(
        self,
        inner: Limiter,
        *,
        size: int = 1_000,
        ttl: float = 1.0,
        hot: int = 10,
        max_keys: int = 10_000,
        clock: Clock | None = None,
        hooks: LimiterHooks | None = None,
    ) -> None:
        """`size` in units of cost, `ttl` in seconds. Closes `inner` when closed. Raises ValueError that names the
        argument."""
        for name, value, least in (("size", size, 1), ("hot", hot, 1), ("max_keys", max_keys, 16)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if not 0 < ttl <= 3600:
            raise ValueError(f"ttl must be more than 0 and at most 3600 seconds, not {ttl!r}")
        self._inner = inner
        self._size = size
        self._ttl = ttl
        self._hot = hot
        self._max_keys = max_keys
        self._clock = clock or SystemClock()
        self._hooks = hooks or Unheard()
        self._purses: OrderedDict[tuple[str, str], Purse] = OrderedDict()

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision:
        now = self._clock.monotonic()
        if len(demands) == 1:  # the hot path: one key, and its tokens are in hand
            policy, key = demands[0]
            purse = self._purses.get((policy.id, key))
            if purse is not None and cost > 0 and (decision := purse.spend(cost, now)) is not None:
                return decision
        demands = checked(demands, cost)
        purses = [self._purse(policy, key) for policy, key in demands]
        refused = self._remembered(purses, cost, now)
        if refused is not None:
            return refused
        for purse, demand in zip(purses, demands, strict=True):
            purse.feel(now, cost)
            while purse.heat >= self._hot and not purse.tokens(self._clock.monotonic()):
                if not await self._fill(purse, demand, cost):
                    break
        return await self._decide(purses, demands, cost)

    def spend(self, *demands: Demand, cost: int = 1) -> Decision | None:
        """What `acquire` would answer without asking anybody: from what is in hand, or by a refusal that still holds.
        None: it would have to ask, and nothing is spent. The demands are distinct."""
        now = self._clock.monotonic()
        if len(demands) == 1 and cost > 0:
            policy, key = demands[0]
            purse = self._purses.get((policy.id, key))
            if purse is not None and (decision := purse.spend(cost, now)) is not None:
                return decision
        purses = [self._purses.get((policy.id, key)) for policy, key in demands]
        known = [purse for purse in purses if purse is not None]
        if not known or len(known) < len(purses) or cost < 1:
            return None
        if all(purse.tokens(now) >= cost for purse in known):
            spent = [purse.spend(cost, now) for purse in known]
            return min((decision for decision in spent if decision is not None), key=_left)
        return self._remembered(known, cost, now)

    async def check_limit(self, key: str, limit: int, window: float) -> Decision:
        return await self.acquire((sliding(limit, window), key))

    async def aclose(self) -> None:
        """What is in hand is not given back: it expires where it was counted."""
        self._purses.clear()
        await self._inner.aclose()

    def _purse(self, policy: Policy, key: str) -> Purse:
        purse = self._purses.get((policy.id, key))
        if purse is None:
            if len(self._purses) >= self._max_keys:
                self._forget_one()
            purse = self._purses[policy.id, key] = Purse(policy)
        return purse

    def _forget_one(self) -> None:
        """Not one that a call counts on: its key would be leased a second time. There are no more such than calls."""
        oldest = next((name for name, purse in self._purses.items() if not purse.busy), None)
        if oldest is not None:
            self._purses.pop(oldest).empty()

    def _remembered(self, purses: Sequence[Purse], cost: int, now: float) -> Decision | None:
        refusals = [refusal for purse in purses if (refusal := purse.refusal(now, cost)) is not None]
        if not refusals:
            return None
        longest = max(refusals, key=lambda refusal: refusal.retry_after)
        tell(self._hooks.on_refusal, RefusalDetails(longest.policy.name, "remembered", longest.retry_after))
        return longest

    async def _fill(self, purse: Purse, demand: Demand, cost: int) -> bool:
        """Whether there may be tokens now. All who find the purse empty wait for one lease."""
        if purse.filling is None:
            size = purse.lease_size(self._size)
            known = self._purses.get((demand[0].id, demand[1])) is purse
            if size < max(2, cost) or purse.reserved or not known:
                return False
            purse.filling = asyncio.create_task(self._lease(purse, demand, size), name="ratelimit-lease")
        return await asyncio.shield(purse.filling)  # one who leaves takes nobody's lease along

    async def _lease(self, purse: Purse, demand: Demand, size: int) -> bool:
        now = self._clock.monotonic()  # the answer may wait for a busy loop, and its times do not begin then
        try:
            decision = await self._inner.acquire(demand, cost=size)
        except LimiterUnavailable:
            return False  # each call hears it by itself
        finally:
            purse.filling = None
        purse.learn(decision, now)
        if not decision.allowed:
            return False
        purse.put(size, self._clock.monotonic() + self._ttl)
        tell(self._hooks.on_lease, LeaseDetails(demand[0].name, size, self._ttl))
        return True

    async def _decide(self, purses: Sequence[Purse], demands: Sequence[Demand], cost: int) -> Decision:
        """From what is in hand; the limiter inside is asked for the rest, while what is in hand stays reserved."""
        now = self._clock.monotonic()
        paying = [purse for purse in purses if purse.tokens(now) >= cost]
        asking = [pair for pair in zip(purses, demands, strict=True) if pair[0].tokens(now) < cost]
        for purse in paying:
            purse.reserve(cost)
        allowed = False
        try:
            standings = await self._ask(asking, cost) if asking else []
            allowed = not any(standing[3] for standing in standings)
        finally:
            for purse in paying:
                purse.settle(cost, spent=allowed)
        now = self._clock.monotonic()
        return decision_of([*standings, *(purse.standing(now) for purse in paying)])

    async def _ask(self, asking: Sequence[tuple[Purse, Demand]], cost: int) -> list[Standing]:
        """The tightest standing of those who have nothing in hand, exactly."""
        now = self._clock.monotonic()
        decision = await self._inner.acquire(*(demand for _, demand in asking), cost=cost)
        about = [purse for purse, _ in asking if purse.policy == decision.policy]
        if len(about) == 1:  # of two keys under one policy nobody says which it was
            about[0].learn(decision, now)
            if not decision.allowed:
                about[0].remember(decision, cost, now)
        return [(decision.policy, decision.remaining, decision.reset_after, decision.retry_after)]


def _left(decision: Decision) -> int:
    return decision.remaining
