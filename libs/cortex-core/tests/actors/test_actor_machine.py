"""Virtual actors under whatever comes: no message lost or doubled, order kept, one of each, one message at a time."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cortex_core.actors import (
    ActorHooks,
    ActorOptions,
    ActorStopped,
    ActorSystem,
    AskTimeout,
    DeadLetter,
    Directive,
    Failure,
    MailboxFull,
    Overflow,
    StashFull,
    Supervision,
)
from cortex_core.testing import FakeClock, machine_settings

from .cast import LongestJitter
from .subjects import AsyncSubject, Message, Subject, World

IDS = ("a", "b", "c")
BOUND = 4
RESTARTS, WITHIN = 2, 10.0
ids = st.sampled_from(IDS)


class ActorMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world, self.clock = World(), FakeClock()
        self.gates: list[asyncio.Future[None]] = []
        self.sent: list[Message] = []
        self.asks: list[tuple[Message, asyncio.Task[Any]]] = []
        self.stops: list[asyncio.Task[None]] = []

    @initialize(
        kind=st.sampled_from([Subject, AsyncSubject]),
        overflow=st.sampled_from(list(Overflow)),
        idle=st.sampled_from([None, 2.0]),
        backoff=st.sampled_from([0.0, 1.0]),
    )
    def build(self, kind: type[Subject], overflow: Overflow, idle: float | None, backoff: float) -> None:
        hooks = ActorHooks(
            on_dead_letter=self.buried,
            on_failure=self.failed,
            on_passivated=lambda details: self.world.restarted.pop(details.ref.address.path[-1], None),
            on_terminated=lambda details: self.world.restarted.pop(details.ref.address.path[-1], None),
        )
        supervision = Supervision(max_restarts=RESTARTS, within=WITHIN, backoff=backoff, max_backoff=backoff)
        self.system = ActorSystem("orders", clock=self.clock, hooks=hooks, rng=LongestJitter())
        options = ActorOptions(mailbox=BOUND, overflow=overflow, idle=idle, supervision=supervision, stash=3)
        self.system.register("order", lambda key: kind(self.world, key), options)
        self.overflow = overflow

    def buried(self, letter: DeadLetter) -> None:
        self.world.dead.append(letter.message)

    def failed(self, failure: Failure) -> None:
        key, now = failure.ref.address.path[-1], self.clock.monotonic()
        if failure.directive is Directive.RESTART:
            times = self.world.restarted[key]
            times.append(now)
            recent = [each for each in times if each > now - WITHIN]
            self.world.check(len(recent) <= RESTARTS, f"{key} was restarted {len(recent)} times in its window")

    # --- what comes ------------------------------------------------------------------------------------------------

    @rule(key=ids, what=st.sampled_from(["plain", "plain", "boom", "aside", "back", "leave"]), waits=st.booleans())
    def told(self, key: str, what: str, waits: bool) -> None:
        message = self.message(what, waits)
        self.inside_loop(lambda: self.tell(key, message))

    @rule(key=ids, count=st.integers(2, 2 * BOUND))
    def told_many_at_once(self, key: str, count: int) -> None:
        messages = [self.message("plain", waits=False) for _ in range(count)]
        self.inside_loop(lambda: [self.tell(key, message) for message in messages])

    @rule(key=ids, what=st.sampled_from(["plain", "boom", "aside"]), waits=st.booleans())
    def asked(self, key: str, what: str, waits: bool) -> None:
        message = self.message(what, waits)

        async def ask() -> Any:
            try:
                return await self.system.ref("order", key).ask(message, timeout=3.0)
            except MailboxFull:
                if message not in self.world.dead:  # it was never taken; else it was dropped for a newer one
                    self.world.refused.append(message)
                raise

        self.asks.append((message, self.loop.create_task(ask())))
        self.settle()

    @precondition(lambda self: self.asks)
    @rule(data=st.data())
    def an_asker_leaves(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.asks))[1].cancel()
        self.settle()

    @precondition(lambda self: self.gates)
    @rule(data=st.data(), turns=st.integers(0, 6))
    def a_message_ends(self, data: st.DataObject, turns: int) -> None:
        gate = data.draw(st.sampled_from(self.gates))
        self.gates.remove(gate)
        gate.set_result(None)
        self.settle(turns)

    @rule(key=ids, turns=st.integers(0, 6))
    def one_is_stopped(self, key: str, turns: int) -> None:
        async def stop() -> None:
            await self.system.stop(self.system.ref("order", key))

        self.stops.append(self.loop.create_task(stop()))
        self.settle(turns)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 12.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))

    # --- what must be ----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_went_wrong(self) -> None:
        assert self.world.wrong == []

    @invariant()
    def order_is_kept_and_nothing_is_doubled(self) -> None:
        for numbers in self.world.in_order.values():
            assert all(one < other for one, other in pairwise(numbers))
        ends = [message.number for message in (*self.world.received, *self.world.dead, *self.world.refused)]
        assert len(ends) == len(set(ends))

    def teardown(self) -> None:
        try:
            if hasattr(self, "system"):
                self.drained()
        finally:
            for task in (*(task for _, task in self.asks), *self.stops):
                if task.done() and not task.cancelled():
                    task.exception()  # read: what a failed run leaves must not make noise
            self.loop.close()

    def drained(self) -> None:
        for gate in self.gates:
            gate.set_result(None)
        drain = self.loop.create_task(self.system.drain(within=120))
        while not drain.done():
            self.loop.run_until_complete(self.clock.advance(1))
        self.nothing_went_wrong()
        self.order_is_kept_and_nothing_is_doubled()
        self.every_message_has_one_end()
        self.every_ask_has_its_answer()
        assert all(stop.done() and stop.exception() is None for stop in self.stops)
        assert set(self.world.alive.values()) <= {0}
        assert drain.result().interrupted == 0
        assert self.system.size == 0
        assert self.clock.sleepers == 0

    def every_message_has_one_end(self) -> None:
        ends = {message.number for message in (*self.world.received, *self.world.dead, *self.world.refused)}
        assert ends == {message.number for message in self.sent}
        if self.overflow is not Overflow.REJECT:
            assert all(any(message is each for each, _ in self.asks) for message in self.world.refused)

    def every_ask_has_its_answer(self) -> None:
        received = {message.number for message in self.world.received}
        for message, task in self.asks:
            assert task.done()
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert task.result() == message.number
                assert message.number in received
            elif isinstance(error, LookupError):
                assert (message.what, error.args) == ("boom", (message.number,))
            elif isinstance(error, StashFull):
                assert message.what == "aside"
            elif isinstance(error, MailboxFull | ActorStopped):
                assert error.attempted or message.number not in received
            else:
                assert isinstance(error, AskTimeout)
                assert error.attempted or message.number not in received

    # --- how -------------------------------------------------------------------------------------------------------

    def message(self, what: str, waits: bool) -> Message:
        gate = self.loop.create_future() if waits else None
        if gate is not None:
            self.gates.append(gate)
        self.sent.append(Message(len(self.sent), what, gate))
        return self.sent[-1]

    def tell(self, key: str, message: Message) -> None:
        try:
            self.system.ref("order", key).tell(message)
        except MailboxFull:
            self.world.refused.append(message)

    def inside_loop(self, act: Callable[[], Any]) -> None:
        self.loop.call_soon(act)
        self.settle()

    def settle(self, turns: int = 8) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turn())


TestActorMachine = pytest.mark.machine(pytest.mark.timeout(600)(ActorMachine.TestCase))
TestActorMachine.settings = machine_settings()
