"""What a worker knows of one key: the lease in hand, how often the key is asked for, and a refusal that still holds.

Times are readings of a monotonic clock, in seconds. Refuses to ask anybody.
"""

import asyncio

from cortex_core.ratelimit.limiter import Decision, Standing, decided
from cortex_core.ratelimit.policies import Policy

_SPAN = 1.0  # seconds over which calls are counted


class Purse:
    """One key under one policy. `heat` is the units asked for in the last second or the one before, whichever is more;
    `reserved` the tokens taken for a call that is not decided yet; `filling` the lease that is on its way."""

    __slots__ = (
        "_asked", "_asked_before", "_limit", "_refusal", "_refused_cost", "_refused_until", "_remaining", "_resets_at",
        "_since", "_tokens", "_tokens_expire", "filling", "policy", "reserved",
    )  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.reserved = 0
        self.filling: asyncio.Task[bool] | None = None
        self._tokens = 0
        self._tokens_expire = 0.0
        self._limit = self._remaining = policy.limit
        self._resets_at = 0.0
        self._asked = self._asked_before = 0
        self._since = 0.0
        self._refusal: Decision | None = None
        self._refused_cost = 0
        self._refused_until = 0.0

    @property
    def heat(self) -> int:
        return max(self._asked, self._asked_before)

    @property
    def busy(self) -> bool:
        """Whether some call counts on this object."""
        return self.filling is not None or self.reserved > 0

    def feel(self, now: float, cost: int) -> None:
        """Somebody asks for `cost` units."""
        passed = now - self._since
        if passed >= _SPAN:
            self._asked_before = self._asked if passed < 2 * _SPAN else 0
            self._asked, self._since = 0, now
        self._asked += cost

    def tokens(self, now: float) -> int:
        """What is in hand and has not expired."""
        return self._tokens if now < self._tokens_expire else 0

    def lease_size(self, most: int) -> int:
        """What the next lease should be: what was asked for in a second, but half of what remains at most."""
        return min(most, self.heat, self._remaining // 2)

    def put(self, size: int, expires: float) -> None:
        """A lease in place of what is left of an expired one."""
        self._tokens, self._tokens_expire = size, expires

    def learn(self, decision: Decision, now: float) -> None:
        """What the limiter inside has said of this key last. `now`: before it was asked, here and in `remember`."""
        self._remaining, self._resets_at = decision.remaining, now + decision.reset_after

    def empty(self) -> None:
        self._tokens = 0

    def spend(self, cost: int, now: float) -> Decision | None:
        """From what is in hand, if that is enough. It is felt."""
        tokens = self._tokens - cost
        if tokens < 0 or now >= self._tokens_expire:
            return None
        if now - self._since < _SPAN:
            self._asked += cost
        else:
            self.feel(now, cost)
        self._tokens = tokens
        resets_after = self._resets_at - now
        left = self._remaining + tokens
        return decided((True, self.policy, self._limit, left, resets_after if resets_after > 0 else 0.0, 0.0))

    def reserve(self, cost: int) -> None:
        self._tokens -= cost
        self.reserved += cost

    def settle(self, cost: int, *, spent: bool) -> None:
        """Ends a reservation."""
        self.reserved -= cost
        if not spent:
            self._tokens += cost

    def standing(self, now: float) -> Standing:
        return self.policy, self._remaining + self._tokens, max(0.0, self._resets_at - now), 0.0

    def remember(self, refusal: Decision, cost: int, now: float) -> None:
        self._refusal, self._refused_cost, self._refused_until = refusal, cost, now + refusal.retry_after

    def refusal(self, now: float, cost: int) -> Decision | None:
        """The refusal that still holds for as much, with its times as they are now."""
        if self._refusal is None or now >= self._refused_until or cost < self._refused_cost:
            return None
        policy, left = self.policy, self._refused_until - now
        reset_after = max(left, self._refusal.reset_after - self._refusal.retry_after + left)
        return Decision(False, policy, policy.limit, self._refusal.remaining, reset_after, left)
