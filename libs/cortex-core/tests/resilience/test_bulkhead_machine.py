"""Bulkhead against a model that only counts: whatever comes, goes, fails, is cancelled or runs out of time."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cortex_core.resilience import Bulkhead, BulkheadFull, BulkheadTimeout
from cortex_core.testing import FakeClock, machine_settings


@dataclass(eq=False)
class Caller:
    """One call, and what the model expects of it."""

    end: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False
    inside: bool = False
    task: "asyncio.Task[None]" = field(init=False)

    async def hold(self, bulkhead: Bulkhead) -> None:
        """As `bulkhead.execute(self.work)`, but by the form of those who cannot await their turn."""
        if not bulkhead.try_enter():
            come: asyncio.Future[BulkheadTimeout | None] = asyncio.get_running_loop().create_future()
            turn = bulkhead.line_up(come.set_result)
            assert not come.done()
            try:
                refusal = await asyncio.shield(come)
            except asyncio.CancelledError:
                if come.done() and come.result() is None:
                    bulkhead.leave()
                turn.give_up()
                turn.come()
                raise
            turn.give_up()
            if refusal is not None:
                raise refusal
        try:
            await self.work()
        finally:
            bulkhead.leave()

    async def work(self) -> None:
        self.inside = True
        try:
            await self.gate.wait()
            if self.fails:
                raise LookupError
        finally:
            self.inside = False


class BulkheadMachine(RuleBasedStateMachine):
    """The model: who is inside, and a queue with the moment each leaves it. No permits, no futures, no timers."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.inside: list[Caller] = []
        self.queue: deque[Caller] = deque()
        self.now = 0.0

    @initialize(places=st.integers(1, 3), queue=st.integers(0, 4), timeout=st.sampled_from([None, 0.0, 1.0, 2.5]))
    def build(self, places: int, queue: int, timeout: float | None) -> None:
        self.places, self.room, self.timeout = places, queue, timeout
        self.clock = FakeClock()
        self.bulkhead = Bulkhead(places, queue, timeout, clock=self.clock)

    @rule(awaits=st.booleans())
    def somebody_comes(self, awaits: bool) -> None:
        caller = Caller(end=float("inf") if self.timeout is None else self.now + self.timeout)
        coming = self.bulkhead.execute(caller.work) if awaits else caller.hold(self.bulkhead)
        caller.task = self.loop.create_task(coming)
        self.settle()
        if len(self.inside) < self.places:
            self.inside.append(caller)
        elif len(self.queue) >= self.room:
            assert isinstance(caller.task.exception(), BulkheadFull)
        elif self.timeout == 0.0:
            assert isinstance(caller.task.exception(), BulkheadTimeout)
        else:
            self.queue.append(caller)

    @precondition(lambda self: self.inside)
    @rule(data=st.data(), fails=st.booleans())
    def a_call_ends(self, data: st.DataObject, fails: bool) -> None:
        caller = self.pick_inside(data)
        caller.fails = fails
        caller.gate.set()
        self.somebody_moves_up()
        self.settle()
        assert isinstance(caller.task.exception(), LookupError) is fails

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data: st.DataObject) -> None:
        caller = self.pick_inside(data)
        caller.task.cancel()
        self.somebody_moves_up()
        self.settle()
        assert caller.task.cancelled()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def a_waiter_is_cancelled(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(list(self.queue)))
        self.queue.remove(caller)
        caller.task.cancel()
        self.settle()
        assert caller.task.cancelled()

    @precondition(lambda self: self.inside and self.queue)
    @rule(data=st.data(), turns=st.integers(0, 4))
    def a_waiter_is_cancelled_while_a_permit_comes(self, data: st.DataObject, turns: int) -> None:
        """The permit is given back, and its heir is cancelled some turns of the loop later: before or after it runs."""
        caller, heir = self.pick_inside(data), self.queue[0]
        caller.gate.set()
        self.somebody_moves_up()
        self.settle(turns)
        heir.task.cancel()
        self.inside.remove(heir)
        self.somebody_moves_up()
        self.settle()
        assert heir.task.cancelled()

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.loop.run_until_complete(self.clock.advance(seconds))
        while self.queue and self.queue[0].end <= self.now:
            assert isinstance(self.queue.popleft().task.exception(), BulkheadTimeout)

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def a_call_ends_while_the_loop_was_too_busy_for_timers(self, data: st.DataObject) -> None:
        self.now += 1.0
        self.clock.pause(1.0)
        caller = self.pick_inside(data)
        caller.gate.set()
        late = [each for each in self.queue if each.end <= self.now]
        for each in late:
            self.queue.remove(each)
        self.somebody_moves_up()
        self.settle()
        self.loop.run_until_complete(self.clock.advance(0))
        assert all(isinstance(each.task.exception(), BulkheadTimeout) for each in late)

    @invariant()
    def it_counts_as_the_model_does(self) -> None:
        if hasattr(self, "bulkhead"):
            assert (self.bulkhead.in_use, self.bulkhead.waiting) == (len(self.inside), len(self.queue))
            assert self.bulkhead.permits == self.places - len(self.inside)
            assert all(caller.inside for caller in self.inside)
            assert not any(caller.inside for caller in self.queue)

    def pick_inside(self, data: st.DataObject) -> Caller:
        caller = data.draw(st.sampled_from(self.inside))
        self.inside.remove(caller)
        return caller

    def somebody_moves_up(self) -> None:
        if self.queue and len(self.inside) < self.places:
            self.inside.append(self.queue.popleft())

    def settle(self, turns: int = 8) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())

    def teardown(self) -> None:
        tasks = [caller.task for caller in (*self.inside, *self.queue)]
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.wait(tasks)) if tasks else None
        if hasattr(self, "bulkhead"):
            assert (self.bulkhead.permits, self.bulkhead.waiting) == (self.places, 0)
        self.loop.close()


TestBulkheadMachine = pytest.mark.machine(BulkheadMachine.TestCase)
TestBulkheadMachine.settings = machine_settings()
