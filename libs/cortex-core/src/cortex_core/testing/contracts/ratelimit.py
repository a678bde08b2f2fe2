"""What every limiter must do. An adapter's test subclasses `RateLimiterContract` and provides `limiter` and
`pass_time`, which lets as many seconds pass on the clock that the limiter counts by.

Where a real clock runs on meanwhile, a test relies on windows too long to end, or asks until it is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from cortex_core.ratelimit import Decision, FixedWindow, Limiter, Policy, SlidingWindow, TokenBucket

PassTime = Callable[[float], Awaitable[None]]
MakePolicy = Callable[[int, float], Policy]

LONG: Final = 10_000_000.0  # seconds: no such window ends during a test
SHORT: Final = 0.25

KINDS: Final[dict[str, MakePolicy]] = {
    "fixed": FixedWindow,
    "sliding": SlidingWindow,
    "bucket": lambda limit, window: TokenBucket(limit, limit, window),
}

HOSTILE: Final = [
    "",
    " ",
    "a b",
    "a\r\nDEL x\r\n",
    "\x00",
    "{tag}",
    "*?[a-z]",
    "ключ",
    "\ud800",
    "#" + "0" * 32,
    "k" * 100_000,
]


async def until_refused(limiter: Limiter, policy: Policy, key: str, cost: int = 1) -> Decision:
    """The first refusal."""
    while (decision := await limiter.acquire((policy, key), cost=cost)).allowed:
        pass
    return decision


class RateLimiterContract:
    """See the module."""

    @pytest.fixture(params=KINDS)
    def policy(self, request: pytest.FixtureRequest) -> MakePolicy:
        return KINDS[request.param]

    async def test_the_limit_is_admitted_and_no_more(self, limiter: Limiter, policy: MakePolicy) -> None:
        decisions = [await limiter.acquire((policy(3, LONG), "client")) for _ in range(5)]

        assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
        assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
        assert {decision.limit for decision in decisions} == {3}

    async def test_callers_at_once_get_the_limit_between_them(self, limiter: Limiter, policy: MakePolicy) -> None:
        decisions = await asyncio.gather(*(limiter.acquire((policy(10, LONG), "client")) for _ in range(100)))

        assert sum(decision.allowed for decision in decisions) == 10

    async def test_a_refused_call_says_when_to_come_back_and_is_admitted_then(
        self, limiter: Limiter, policy: MakePolicy, pass_time: PassTime
    ) -> None:
        refused = await until_refused(limiter, policy(4, SHORT), "client")

        assert 0 < refused.retry_after <= SHORT
        await pass_time(refused.retry_after)
        assert (await limiter.acquire((policy(4, SHORT), "client"))).allowed

    async def test_the_time_to_come_back_is_that_of_the_cost(
        self, limiter: Limiter, policy: MakePolicy, pass_time: PassTime
    ) -> None:
        refused = await until_refused(limiter, policy(5, SHORT), "client", cost=4)

        await pass_time(refused.retry_after)
        assert (await limiter.acquire((policy(5, SHORT), "client"), cost=4)).allowed

    async def test_refused_calls_are_not_counted(
        self, limiter: Limiter, policy: MakePolicy, pass_time: PassTime
    ) -> None:
        refused = await until_refused(limiter, policy(4, SHORT), "client")
        for _ in range(50):
            await limiter.acquire((policy(4, SHORT), "client"))

        await pass_time(refused.retry_after)
        assert (await limiter.acquire((policy(4, SHORT), "client"))).allowed

    async def test_once_all_is_back_the_whole_limit_is_there(
        self, limiter: Limiter, policy: MakePolicy, pass_time: PassTime
    ) -> None:
        refused = await until_refused(limiter, policy(4, SHORT), "client")

        await pass_time(refused.reset_after)
        decision = await limiter.acquire((policy(4, SHORT), "client"), cost=4)

        assert (decision.allowed, decision.remaining) == (True, 0)

    async def test_a_call_may_cost_several_units(self, limiter: Limiter, policy: MakePolicy) -> None:
        decisions = [await limiter.acquire((policy(10, LONG), "client"), cost=cost) for cost in (4, 4, 4, 2, 1)]

        assert [decision.allowed for decision in decisions] == [True, True, False, True, False]
        assert [decision.remaining for decision in decisions] == [6, 2, 2, 0, 0]

    async def test_keys_do_not_share(self, limiter: Limiter, policy: MakePolicy) -> None:
        await limiter.acquire((policy(1, LONG), "client"))

        assert (await limiter.acquire((policy(1, LONG), "another"))).allowed

    async def test_policies_of_another_name_do_not_share(self, limiter: Limiter) -> None:
        await limiter.acquire((SlidingWindow(1, LONG, name="read"), "client"))

        assert (await limiter.acquire((SlidingWindow(1, LONG, name="write"), "client"))).allowed

    async def test_any_text_is_a_key_of_its_own(self, limiter: Limiter, policy: MakePolicy) -> None:
        decisions = [await limiter.acquire((policy(1, LONG), key)) for key in [*HOSTILE, *HOSTILE]]

        assert [decision.allowed for decision in decisions] == [True] * len(HOSTILE) + [False] * len(HOSTILE)

    async def test_of_several_demands_all_admit_or_none_is_charged(self, limiter: Limiter, policy: MakePolicy) -> None:
        wide, narrow = policy(10, LONG), policy(2, LONG)
        both = ((wide, "tenant"), (narrow, "user"))

        decisions = [await limiter.acquire(*both) for _ in range(20)]

        assert sum(decision.allowed for decision in decisions) == 2
        assert (await limiter.acquire((wide, "tenant"))).remaining == 7

    async def test_the_tightest_of_several_decides(self, limiter: Limiter) -> None:
        wide = SlidingWindow(10, LONG, name="wide")
        narrow, slow = SlidingWindow(2, LONG / 2, name="narrow"), SlidingWindow(2, LONG, name="slow")

        first = await limiter.acquire((wide, "client"), (narrow, "client"))
        second = await limiter.acquire((wide, "client"), (narrow, "client"), (slow, "client"))
        await limiter.acquire((slow, "client"))
        refused = await limiter.acquire((narrow, "client"), (slow, "client"), (wide, "client"))

        assert (first.policy, first.remaining) == (narrow, 1)
        assert (second.policy, second.remaining, second.allowed) == (narrow, 0, True)
        assert (refused.policy, refused.remaining, refused.allowed) == (slow, 0, False)
        assert LONG / 2 < refused.retry_after <= LONG

    async def test_the_same_demand_twice_is_one(self, limiter: Limiter, policy: MakePolicy) -> None:
        demand = (policy(2, LONG), "client")

        decisions = [await limiter.acquire(demand, demand) for _ in range(3)]

        assert [decision.allowed for decision in decisions] == [True, True, False]

    async def test_a_window_slides_also_where_its_limit_is_large(self, limiter: Limiter, pass_time: PassTime) -> None:
        policy = SlidingWindow(1000, SHORT)
        refused = await until_refused(limiter, policy, "client", cost=50)

        await pass_time(refused.retry_after)
        again = await limiter.acquire((policy, "client"), cost=50)
        await pass_time(again.reset_after)
        anew = await limiter.acquire((policy, "client"), cost=1000)

        assert again.allowed
        assert (anew.allowed, anew.remaining) == (True, 0)

    async def test_a_key_is_checked_against_a_window_without_a_policy(self, limiter: Limiter) -> None:
        decisions = [await limiter.check_limit("client", 2, LONG) for _ in range(3)]

        assert [decision.allowed for decision in decisions] == [True, True, False]

    @pytest.mark.parametrize("cost", [0, -1, 4])
    async def test_a_cost_that_is_never_admitted_is_an_error(
        self, limiter: Limiter, policy: MakePolicy, cost: int
    ) -> None:
        await limiter.acquire((policy(3, LONG), "known"))

        for key in ("known", "client"):
            with pytest.raises(ValueError, match=r"cost must be from 1 to the limit of default \(3\)"):
                await limiter.acquire((policy(3, LONG), key), cost=cost)

    async def test_asking_for_nothing_is_an_error(self, limiter: Limiter) -> None:
        with pytest.raises(ValueError, match="demands"):
            await limiter.acquire()
