"""The limiters against their rules read literally, over long random walks."""

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cortex_core.ratelimit import FixedWindow, LeasedLimiter, Policy, RateLimiter, SlidingWindow, TokenBucket
from cortex_core.testing import FakeClock, machine_settings

from .models import BucketModel, FixedModel, SlidingModel, most_in_any_window

SECOND = 10**9
POLICIES: list[Policy] = [
    FixedWindow(5, 1.0),
    SlidingWindow(5, 1.0),
    TokenBucket(5, 7),
    SlidingWindow(9, 4.0, name="slow"),
]
KEYS = ["a", "b", "c"]
PAUSES = st.one_of(st.integers(0, 10**6), st.integers(0, 3 * 10**9))

Model = FixedModel | SlidingModel | BucketModel


def model_of(policy: Policy) -> Model:
    if isinstance(policy, FixedWindow):
        return FixedModel(policy.limit, round(policy.window * SECOND))
    if isinstance(policy, SlidingWindow):
        return SlidingModel(policy.limit, round(policy.window * SECOND))
    return BucketModel(policy.burst, round(policy.interval * SECOND))


class LimiterMachine(RuleBasedStateMachine):
    """Any calls at any time: who is admitted, and when a refused call would be, is what the models say."""

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock()
        self.limiter = RateLimiter(clock=self.clock)
        self.models: dict[tuple[str, str], Model] = {}

    @rule(nanoseconds=PAUSES)
    def wait(self, nanoseconds: int) -> None:
        self.clock.pause(nanoseconds / SECOND)

    @rule(
        chosen=st.lists(st.tuples(st.sampled_from(POLICIES), st.sampled_from(KEYS)), min_size=1, max_size=3),
        cost=st.integers(1, 4),
        times=st.integers(1, 4),
    )
    def ask(self, chosen: list[tuple[Policy, str]], cost: int, times: int) -> None:
        for _ in range(times):
            now = round(self.clock.monotonic() * SECOND)
            models = {
                (policy.id, key): self.models.setdefault((policy.id, key), model_of(policy)) for policy, key in chosen
            }
            fits = all(model.fits(now, cost) for model in models.values())

            decision = self.limiter.decide(*chosen, cost=cost)

            assert decision.allowed == fits
            if fits:
                for model in models.values():
                    model.charge(now, cost)
                assert decision.retry_after == 0
            else:
                later = now + round(decision.retry_after * SECOND)
                assert all(model.fits(later, cost) for model in models.values())
                assert not all(model.fits(later - 1, cost) for model in models.values())


class LeaseMachine(RuleBasedStateMachine):
    """Three workers over one limiter, any calls at any time: the limit and one lease a worker, in any window."""

    LIMIT, SIZE, WORKERS = 20, 6, 3
    POLICY = SlidingWindow(LIMIT, 1.0)
    OTHER = FixedWindow(50, 2.0, name="other")

    @initialize(ttl=st.sampled_from([0.05, 0.6, 5.0]), hot=st.integers(1, 4))
    def begin(self, ttl: float, hot: int) -> None:
        self.clock, self.runner = FakeClock(), asyncio.Runner()
        shared = RateLimiter(clock=self.clock)
        self.leased = [
            LeasedLimiter(shared, size=self.SIZE, ttl=ttl, hot=hot, clock=self.clock) for _ in range(self.WORKERS)
        ]
        self.admitted: list[tuple[int, int]] = []

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.close()

    @rule(nanoseconds=st.one_of(st.integers(0, 10**8), st.integers(0, 10**9)))
    def wait(self, nanoseconds: int) -> None:
        self.clock.pause(nanoseconds / SECOND)

    @rule(
        worker=st.integers(0, WORKERS - 1),
        cost=st.integers(1, 3),
        at_once=st.integers(1, 12),
        both=st.booleans(),
        leaving=st.integers(0, 3),
    )
    def ask(self, worker: int, cost: int, at_once: int, both: bool, leaving: int) -> None:
        demands = [(self.POLICY, "client"), *([(self.OTHER, "client")] if both else [])]

        async def asking() -> int:
            calls = [asyncio.ensure_future(self.leased[worker].acquire(*demands, cost=cost)) for _ in range(at_once)]
            await asyncio.sleep(0)
            for call in calls[:leaving]:
                call.cancel()
            done = await asyncio.gather(*calls, return_exceptions=True)
            return sum(not isinstance(each, BaseException) and each.allowed for each in done)

        admitted = self.runner.run(asking())
        self.admitted.append((round(self.clock.monotonic() * SECOND), cost * admitted))

    @invariant()
    def the_bound_holds(self) -> None:
        if hasattr(self, "admitted"):
            assert most_in_any_window(self.admitted, SECOND) <= self.LIMIT + self.WORKERS * self.SIZE


LimiterMachine.TestCase.settings = machine_settings()
LeaseMachine.TestCase.settings = machine_settings()
TestLimiterMachine = pytest.mark.machine(LimiterMachine.TestCase)
TestLeaseMachine = pytest.mark.machine(LeaseMachine.TestCase)
