"""The breaker against a model that keeps everything that ever happened and counts it anew each time it is asked."""

import math
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cortex_core.kernel import CortexError
from cortex_core.resilience import CircuitChange, CircuitOpenError, Permit, Refusal
from cortex_core.testing import FakeClock, machine_settings

from .model import ENDINGS, SLOW, Down, Missing, Model, Numbers, Ours, numbers


class Hanging:
    """Something that is awaited until the test says what comes of it."""

    def __await__(self) -> Generator[None, BaseException | None, str]:
        error = yield
        if error is not None:
            raise error
        return "ok"


async def hang() -> str:
    return await Hanging()


@dataclass
class Call:
    """By `execute`, or by a permit."""

    number: int
    form: Coroutine[Any, Any, str] | Permit
    era: int
    began: float


class BreakerMachine(RuleBasedStateMachine):
    calls = 0

    @initialize(told=numbers())
    def make(self, told: Numbers) -> None:
        self.clock = FakeClock()
        self.heard: list[CircuitChange] = []
        self.breaker = told.breaker(self.clock, self.heard)
        self.model = Model(told)
        self.flying: list[Call] = []

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @rule(permitted=st.booleans())
    def begin(self, permitted: bool) -> None:
        self._begin(permitted)

    def _begin(self, permitted: bool = False) -> Call | None:
        self.calls += 1
        era = self.model.begin(self.calls, self.now)
        form: Coroutine[Any, Any, str] | Permit
        try:
            if permitted:
                form = self.breaker.permit()
            else:
                form = self.breaker.execute(hang)
                form.send(None)
        except CircuitOpenError as refusal:
            assert era is None
            timed = self.model.state == "open" and not self.model.held
            assert refusal.retry_after == (self.model.until - self.now if timed else None)
            return None
        assert era is not None
        self.flying.append(Call(self.calls, form, era, self.now))
        return self.flying[-1]

    @rule(which=st.integers(0, 99), ending=st.sampled_from(ENDINGS))
    def end(self, which: int, ending: str) -> None:
        call = self.flying[which % len(self.flying)] if self.flying else self._begin()
        if call is not None:
            self._end(call, ending)

    @rule(endings=st.lists(st.sampled_from(ENDINGS[:3]), min_size=1, max_size=4), permitted=st.booleans())
    def calls_one_after_the_other(self, endings: list[str], permitted: bool) -> None:
        for ending in endings:
            call = self._begin(permitted)
            if call is not None:
                self._end(call, ending)

    @rule(quarters=st.sampled_from([1, 2, 4, 5, 8, 16, 40]))
    def time_passes(self, quarters: int) -> None:
        self.clock.pause(quarters / 4)

    @rule()
    def the_wait_is_over(self) -> None:
        if math.isfinite(self.model.until):
            self.clock.pause(self.model.until - self.now)

    @rule(who=st.sampled_from(["opens", "closes", "resets", "knows"]), quarters=st.integers(1, 20))
    def somebody_meddles(self, who: str, quarters: int) -> None:
        if who == "knows":
            self._told_to_open(quarters / 4)
        elif who == "resets":
            self.breaker.reset()
            self.model.reopenings = 0
            self.model.turn("closed")
        else:
            (self.breaker.force_open if who == "opens" else self.breaker.force_close)()
            self.model.turn("open" if who == "opens" else "closed", held=True)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        status, model = self.breaker.status, self.model
        assert (status.state, status.held) == (model.state, model.held)
        assert status.until == (None if model.until == math.inf else model.until)
        assert status.failures == (model.row() if model.state == "closed" else 0)
        assert status.probes == len(model.probes)
        assert [change.new for change in self.heard] == model.history
        window = model.in_window(self.now)
        assert status.window is None if window is None else self._held(status.window) == window

    def _told_to_open(self, seconds: float) -> None:
        agrees = self.model.state == "closed" and not self.model.held
        assert self.breaker.open_for(seconds) == agrees
        if agrees:
            self.model.turn("open", self.now + seconds)

    def teardown(self) -> None:
        for call in getattr(self, "flying", ()):
            if not isinstance(call.form, Permit):
                call.form.close()

    @staticmethod
    def _held(window: Any) -> tuple[int, int, int]:
        return window.calls, window.failures, window.slow

    def _end(self, call: Call, ending: str) -> None:
        self.flying.remove(call)
        began = ending != "refused within"
        slow = began and self.model.told.slow_rate is not None and self.now - call.began > SLOW
        self.model.end(call.number, call.era, ending, slow, self.now)
        error = {
            "fails": Down("down"),
            "caller's fault": Missing("no such"),
            "refused within": Refusal("full"),
            "ended by us": Ours("broke off"),
        }.get(ending)
        if isinstance(call.form, Permit):
            self._end_permit(call.form, ending, error)
        elif ending == "cancelled":
            call.form.close()
        else:
            with pytest.raises((StopIteration, CortexError)):
                call.form.send(error)

    @staticmethod
    def _end_permit(permit: Permit, ending: str, error: CortexError | None) -> None:
        if error is not None:
            permit.failed(error)
        elif ending == "cancelled":
            permit.neutral()
        else:
            permit.succeeded()
        permit.failed(Down("a second ending is none"))


TestBreakerMachine = pytest.mark.machine(BreakerMachine.TestCase)
TestBreakerMachine.settings = machine_settings()
