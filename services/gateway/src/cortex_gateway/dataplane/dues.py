"""What a request counts against, in the express lane: the rules of `asgi.RateLimit`, over the same limiter.

Owns no rule and no count. A rule is asked once for all the requests of a connection that look alike.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from cortex_core.asgi import Rule
from cortex_core.asgi.rate_limit import RateLimited, limit_template
from cortex_core.asgi.types import Scope
from cortex_core.kernel import Principal, use_context
from cortex_core.ratelimit import Decision, Demand, Policy


class Spender(Protocol):
    """A limiter that can also say what it knows without asking (`LeasedLimiter`, `RateLimiter`)."""

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision: ...

    def spend(self, *demands: Demand, cost: int = 1) -> Decision | None:
        """None: ask `acquire`."""
        ...


class Dues:
    """The demands of a kind of requests. `spent` and `acquire` count one; `fields` is what its answer says of it."""

    __slots__ = ("_cost", "_demands", "_limiter", "_policies", "_templates", "spent")

    def __init__(self, limiter: Spender, demands: Sequence[Demand], cost: int) -> None:
        self._limiter = limiter
        self._demands = tuple({(policy.id, key): (policy, key) for policy, key in demands}.values())
        self._policies: list[Policy] = [policy for policy, _ in demands]
        self._cost = cost
        self._templates: dict[str, bytes] = {}
        self.spent: Callable[[], Decision | None] = partial(limiter.spend, *self._demands, cost=cost)

    async def acquire(self) -> Decision:
        """Raises LimiterUnavailable."""
        return await self._limiter.acquire(*self._demands, cost=self._cost)

    def fields(self, decision: Decision, now: float) -> bytes:
        """Lines, each ended by CRLF. `now` is in Unix seconds."""
        _, policy, _, remaining, reset_after, _ = decision  # a tuple's fields are read faster together than one by one
        template = self._templates.get(policy.id)
        if template is None:
            template = self._templates[policy.id] = limit_template(self._policies, decision)
        left = max(0, remaining)
        return template % (left, math.ceil(now + reset_after), left, math.ceil(reset_after))

    def refusal(self, decision: Decision) -> RateLimited:
        decided: Any = decision.policy
        named = (policy for policy in self._policies if policy.name == decided.name)
        declared = decided if decided in self._policies else next(named, decided)
        return RateLimited(decision, declared)


class Tollgate:
    """`rules` and `exempt` as in `asgi.RateLimit`: the first rule that covers a request decides."""

    def __init__(self, limiter: Spender, rules: Sequence[Rule], exempt: Sequence[str]) -> None:
        self._limiter = limiter
        self._rules = tuple(rules)
        self._exempt = frozenset(path for path in exempt if not path.endswith("*"))
        self._exempt_beginnings = tuple(path[:-1] for path in exempt if path.endswith("*"))

    def dues(self, scope: Scope, principal: Principal) -> Dues | None:
        """None: nothing is counted. `scope` has type, method, path, headers and client."""
        path = scope["path"]
        if path in self._exempt or path.startswith(self._exempt_beginnings):
            return None
        with use_context(principal=principal, tenant=principal.tenant):
            rule = next((rule for rule in self._rules if rule.covers(scope)), None)
            if rule is None:
                return None
            demands: list[Any] = [(policy, key) for policy, find in rule.limits if (key := find(scope)) is not None]
        return Dues(self._limiter, demands, rule.cost) if demands else None
