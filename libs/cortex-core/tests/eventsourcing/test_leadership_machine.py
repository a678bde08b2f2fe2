"""Leases under any interleaving: processes with clocks of their own that pause anywhere, against a counting model.

Each process is a leadership in steps, so that hypothesis may stop it between any two of them: the question leaves, the
store decides, the answer arrives. Time is one, as on one database; what differs is when a process looks at it.

Two promises. Of the processes that run, never two believe at once; and a process that was paused, and writes because it
has not looked at its clock since, is refused by its fence whenever another has been given the lease meanwhile.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortex_core.eventsourcing import Fenced, Lease, LeaseLost, MemoryEventStore, NewEvent
from cortex_core.testing import FakeClock
from cortex_core.testing.machines import machine_settings

TTL, MARGIN = 6.0, 1.5
PROCESSES = ("a", "b", "c")


@dataclass
class Process:
    """What one process knows. `asked` is its own note of when it sent the question that is on its way."""

    lease: Lease | None = None
    until: float = 0.0
    asked: float | None = None
    answer: Lease | LeaseLost | None = None
    paused: bool = False
    last_look: float = 0.0  # while paused: what it believes the time is

    def believes(self, time: float) -> bool:
        return self.lease is not None and (self.last_look if self.paused else time) < self.until


class Leasing(RuleBasedStateMachine):
    margin = MARGIN
    fenced = True

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.store = MemoryEventStore(clock=self.clock)
        self.processes = {name: Process() for name in PROCESSES}
        self.writes = 0

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 4.5, 6.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pause(seconds)

    @rule(name=st.sampled_from(PROCESSES))
    def a_question_leaves_and_is_decided(self, name: str) -> None:
        process = self.processes[name]
        if process.paused or process.asked is not None:
            return
        process.asked = self.clock.monotonic()
        try:
            if process.lease is not None and process.believes(process.asked):
                process.answer = self.runner.run(self.store.leases.renew(process.lease))
            else:
                process.lease = None
                process.answer = self.runner.run(self.store.leases.acquire("relay", name, TTL))
        except LeaseLost as lost:
            process.answer = lost

    @rule(name=st.sampled_from(PROCESSES))
    def the_answer_arrives(self, name: str) -> None:
        process = self.processes[name]
        if process.paused or process.asked is None:
            return
        if isinstance(process.answer, Lease):
            process.lease, process.until = process.answer, process.asked + TTL - self.margin
        else:
            process.lease = None
        process.asked = None

    @rule(name=st.sampled_from(PROCESSES))
    def it_is_paused(self, name: str) -> None:
        process = self.processes[name]
        if not process.paused:
            process.paused, process.last_look = True, self.clock.monotonic()

    @rule(name=st.sampled_from(PROCESSES))
    def it_goes_on_and_writes_before_it_looks_at_its_clock(self, name: str) -> None:
        process = self.processes[name]
        if process.paused:
            self._write(process)
            process.paused = False

    @rule(name=st.sampled_from(PROCESSES))
    def a_believer_writes(self, name: str) -> None:
        process = self.processes[name]
        if not process.paused and process.believes(self.clock.monotonic()):
            self._write(process)

    @precondition(lambda self: any(each.lease for each in self.processes.values()))
    @rule(name=st.sampled_from(PROCESSES))
    def it_gives_back(self, name: str) -> None:
        process = self.processes[name]
        if process.lease is not None and not process.paused and process.asked is None:
            self.runner.run(self.store.leases.release(process.lease))
            process.lease = None

    @invariant()
    def of_those_that_run_at_most_one_believes(self) -> None:
        time = self.clock.monotonic()
        believers = [name for name, each in self.processes.items() if not each.paused and each.believes(time)]
        assert len(believers) <= 1, believers

    @invariant()
    def no_event_was_written_after_one_of_a_later_epoch(self) -> None:
        epochs = [row.epoch for row in self.store._rows]
        assert epochs == sorted(epochs)

    def teardown(self) -> None:
        self.runner.close()

    def _write(self, process: Process) -> None:
        if process.lease is None:
            return
        newest = self.store.epochs["public", "relay"]
        self.writes += 1
        try:
            event = NewEvent("order.ticked", {"epoch": process.lease.epoch})
            fence = process.lease.fence if self.fenced else None
            self.runner.run(self.store.append(f"s{self.writes}", [event], expected_version=0, fence=fence))
            assert process.lease.epoch == newest, "a stale write"
        except Fenced:
            assert process.lease.epoch < newest


class WithoutAMargin(Leasing):
    """The control: a process that counts from the answer's arrival, not from before the question."""

    @rule(name=st.sampled_from(PROCESSES))
    def the_answer_arrives(self, name: str) -> None:
        process = self.processes[name]
        if process.asked is not None and not process.paused:
            process.asked = self.clock.monotonic()
        super().the_answer_arrives(name)


class WithoutAFence(Leasing):
    """The control: writes that show no epoch."""

    fenced = False


TestLeases = Leasing.TestCase
TestLeases.settings = machine_settings()


def an_answer_that_took_long(walk: Leasing) -> None:
    walk.a_question_leaves_and_is_decided("a")
    walk.time_passes(4.5)
    walk.the_answer_arrives("a")
    walk.time_passes(2.0)
    walk.a_question_leaves_and_is_decided("b")
    walk.the_answer_arrives("b")
    walk.of_those_that_run_at_most_one_believes()


def a_holder_that_stood_still(walk: Leasing) -> None:
    walk.a_question_leaves_and_is_decided("a")
    walk.the_answer_arrives("a")
    walk.it_is_paused("a")
    walk.time_passes(7.0)
    walk.a_question_leaves_and_is_decided("b")
    walk.the_answer_arrives("b")
    walk.a_believer_writes("b")
    walk.it_goes_on_and_writes_before_it_looks_at_its_clock("a")
    walk.no_event_was_written_after_one_of_a_later_epoch()


@pytest.mark.parametrize(
    ("story", "control"), [(an_answer_that_took_long, WithoutAMargin), (a_holder_that_stood_still, WithoutAFence)]
)
def test_control_without_the_mechanism_the_promise_breaks(
    story: Callable[[Leasing], None], control: type[Leasing]
) -> None:
    with closing_walk(Leasing()) as walk:
        story(walk)
    with closing_walk(control()) as walk, pytest.raises(AssertionError):
        story(walk)


@contextmanager
def closing_walk(walk: Leasing) -> Iterator[Leasing]:
    try:
        yield walk
    finally:
        walk.teardown()
