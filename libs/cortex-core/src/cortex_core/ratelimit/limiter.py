"""The role: whether a request may pass. Contract: cortex_core/testing/contracts/ratelimit, RateLimiterContract.

Refuses to know where counts are kept (`memory.py`, `redis`), and what a refusal looks like on a wire (`asgi`).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple, Protocol, cast

from cortex_core.ratelimit.policies import Policy

Demand = tuple[Policy, str]
"""A policy, and whom it is applied to: `(PER_CLIENT, "203.0.113.7")`. Any text will do as a key."""

Standing = tuple[Policy, int, float, float]
"""How one demand stands: its policy, what remains, seconds until all of it is back, seconds to wait (0: admitted)."""


class Decision(NamedTuple):
    """The answer, as the tightest policy of the call gives it: the one that refuses for longest, else the one with
    least left.

    `remaining` counts after this call. `reset_after`: seconds until the whole limit is there again if nobody asks.
    `retry_after`: seconds until the same call is admitted if nobody else comes before it; 0 where this one was.
    """

    allowed: bool
    policy: Policy
    limit: int
    remaining: int
    reset_after: float
    retry_after: float


decided: Final = cast(
    "Callable[[tuple[bool, Policy, int, int, float, float]], Decision]", partial(tuple.__new__, Decision)
)
"""`Decision` from the tuple of its fields, in less than half the time: on the hot paths."""


class Limiter(Protocol):
    """Counts what it admits. A refused request is not counted: whoever keeps asking is not locked out by that."""

    async def acquire(self, *demands: Demand, cost: int = 1) -> Decision:
        """All of `demands` admit `cost` units, and are charged, or none is. The same demand twice is one.

        Raises ValueError for no demand and for a `cost` that a policy never admits (below 1 or above its limit), and
        LimiterUnavailable.
        """
        ...

    async def check_limit(self, key: str, limit: int, window: float) -> Decision:
        """`acquire` for one key and a sliding window of `window` seconds."""
        ...

    async def aclose(self) -> None:
        """Gives back what it holds open. It admits nothing afterwards that needs it."""
        ...


def checked(demands: tuple[Demand, ...], cost: int) -> tuple[Demand, ...]:
    """The distinct demands. Raises ValueError as `Limiter.acquire` says."""
    if not demands:
        raise ValueError("demands must name at least one policy and key")
    for policy, _ in demands:
        if not 1 <= cost <= policy.limit:
            raise ValueError(f"cost must be from 1 to the limit of {policy.name} ({policy.limit}), not {cost}")
    return (
        demands if len(demands) == 1 else tuple({(policy.id, key): (policy, key) for policy, key in demands}.values())
    )


def decision_of(standings: Iterable[Standing]) -> Decision:
    """The tightest of them."""
    policy, remaining, reset_after, retry_after = min(standings, key=_tightness)
    return Decision(not retry_after, policy, policy.limit, remaining, reset_after, retry_after)


def _tightness(standing: Standing) -> tuple[float, int]:
    return -standing[3], standing[1]
