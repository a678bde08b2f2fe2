"""Whom a request counts against, and how often they may ask: told by who asks and from where alone, so that both lanes
say the same without looking any further.

An API key has the limit of its plan, and each key one of its own. A user (a JWT's subject, within a tenant) has that of
the plan the token names, or the default one. Whoever names nobody has the address's. And whoever shows a credential
that is refused counts, by address, against the few attempts that may fail: they pay for that alone, so that those who
share an address with them, and show what is right, are not locked out. Whoever could not be checked because something
is away counts against nobody: who it is, and whose it would be, is what we do not know.

Refuses to count: a limiter does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cortex_core.asgi import KeyFunction, Rule, api_key_key, user_key
from cortex_core.asgi.types import Scope
from cortex_core.kernel import Principal, current
from cortex_core.ratelimit import Policy, SlidingWindow
from cortex_core.security import AmbiguousCredentials, AuthenticationUnavailable, InvalidCredential
from cortex_core.security.middleware import REFUSAL

FAILED_ATTEMPTS: Final = "failed-attempts"
ANONYMOUS: Final = "default"

Allowance = tuple[int, float]
"""So many requests in so many seconds."""


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """`anonymous` is an address's limit, `failures` that of its attempts that fail; None: there is none. Where there is
    no `anonymous` limit nobody has any: that is how load and tests are run."""

    anonymous: Policy | None
    failures: Policy | None
    plans: Mapping[str, Policy] = field(default_factory=dict)
    default_plan: str | None = None

    @classmethod
    def of(
        cls,
        *,
        per_minute: int,
        failed_per_minute: int,
        plans: Mapping[str, Allowance],
        default_plan: str,
        share: float = 1.0,
    ) -> "CallerLimits":
        """0 is no limit. `share`: what one replica counts against of each while the shared counts are away."""

        def policy(name: str, limit: int, window: float) -> Policy | None:
            return SlidingWindow(limit, window, name, on_outage="local", share=share) if limit else None

        anonymous = policy(ANONYMOUS, per_minute, 60.0)
        by_plan = {name: SlidingWindow(n, w, name, on_outage="local", share=share) for name, (n, w) in plans.items()}
        failures = policy(FAILED_ATTEMPTS, failed_per_minute, 60.0)
        return cls(anonymous, failures, by_plan if anonymous is not None else {}, default_plan)

    def policy(self, principal: Principal | None) -> Policy | None:
        """What a request counts against that was not refused. None: it is not limited."""
        if caller_key(principal) is None or principal is None:
            return self.anonymous
        return self.plans.get(principal.plan or "") or self.plans.get(self.default_plan or "")

    def rules(self, client: KeyFunction, *, counted: Callable[[Scope], bool] | None = None) -> list[Rule]:
        """For `asgi.RateLimit`, behind authentication, and for the express lane. `client` finds the address's key; what
        is not `counted` costs nobody anything, but for attempts that fail."""

        def caller(scope: Scope) -> str | None:
            return caller_key(current().principal) or client(scope)

        rules = [Rule([(self.failures, client)], when=is_failed_attempt)] if self.failures is not None else []
        named = dict.fromkeys([*self.plans.values(), *([self.anonymous] if self.anonymous is not None else [])])
        return rules + [Rule([(policy, caller)], when=self._is_for(policy, counted)) for policy in named]

    def _is_for(self, policy: Policy, counted: Callable[[Scope], bool] | None) -> Callable[[Scope], bool]:
        def applies(scope: Scope) -> bool:
            if self.policy(current().principal) is not policy or _is_unchecked(scope):
                return False
            return counted is None or counted(scope)

        return applies


def caller_key(principal: Principal | None) -> str | None:
    """Whom the limit is for where somebody is named; None: an address has to do."""
    if principal is None or principal.method == "anonymous":
        return None
    if principal.key_id is not None:
        return api_key_key(principal.key_id)
    return user_key(principal.tenant, principal.subject)


def is_failed_attempt(scope: Scope) -> bool:
    """Whether somebody showed a credential that was refused. Who showed none, and whoever could not be checked because
    something is away, has not failed."""
    return isinstance(scope.get(REFUSAL), InvalidCredential | AmbiguousCredentials)


def _is_unchecked(scope: Scope) -> bool:
    return isinstance(scope.get(REFUSAL), AuthenticationUnavailable)
