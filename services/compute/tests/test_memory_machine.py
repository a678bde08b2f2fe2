"""The memory budget against a model, with callers that leave at any moment."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortex_compute.adapters.memory import MemoryBudget, Room
from cortex_compute.domain import Bounds, MemoryInUse
from cortex_core.testing import machine_settings

BOUNDS = Bounds(budget=100, files=30)


class Budget(RuleBasedStateMachine):
    """Requests in each stage: they read (`file`), wait for memory, work in a thread, are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.told: list[int] = [0]
        self.budget = MemoryBudget(BOUNDS, on_reserved=self.told.append)
        self.reading: list[Room] = []
        self.waiting: list[tuple[asyncio.Task[None], Room, int]] = []
        self.working: list[Room] = []
        self.left_behind: list[Room] = []
        self.sending: list[Room] = []

    def turn(self) -> None:
        """The loop comes round until nothing is left to do."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))
        for each in [each for each in self.waiting if each[0].done()]:
            self.waiting.remove(each)
            each[1].begin()
            self.working.append(each[1])

    def one_of(self, rooms: list[Room], data: st.DataObject) -> Room:
        return rooms.pop(data.draw(st.integers(0, len(rooms) - 1)))

    @rule(size=st.integers(0, 40))
    def reads(self, size: int) -> None:
        room = self.budget.room()
        held = sum(each.file for each in self.rooms())
        fits = held + size <= BOUNDS.files and self.budget.reserved + size <= BOUNDS.budget
        try:
            room.take_file(size)
        except MemoryInUse:
            assert not fits
        else:
            assert fits
            self.reading.append(room)

    @precondition(lambda self: self.reading)
    @rule(data=st.data(), size=st.integers(1, BOUNDS.work), shorter=st.integers(0, 40))
    def waits(self, data: st.DataObject, size: int, shorter: int) -> None:
        room = self.one_of(self.reading, data)
        room.settle_file(shorter)
        self.waiting.append((self.loop.create_task(room.take_work(size)), room, size))
        self.turn()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), granted_first=st.booleans())
    def leaves_while_waiting(self, data: st.DataObject, granted_first: bool) -> None:
        task, room, _ = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        if granted_first and self.working:  # what it waits for comes in the same turn of the loop
            self.working.pop(0).end(0)
        task.cancel()
        self.loop.run_until_complete(asyncio.wait([task]))
        room.release()
        self.turn()

    @precondition(lambda self: self.working)
    @rule(data=st.data(), answer=st.integers(0, 150))
    def ends(self, data: st.DataObject, answer: int) -> None:
        room = self.one_of(self.working, data)
        room.end(answer)
        self.sending.append(room)
        self.turn()

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def leaves_at_work(self, data: st.DataObject) -> None:
        room = self.one_of(self.working, data)
        before = room.file + room.work
        room.release()
        assert room.file + room.work == before  # its thread uses it yet
        self.left_behind.append(room)

    @precondition(lambda self: self.left_behind)
    @rule(data=st.data())
    def ends_for_nobody(self, data: st.DataObject) -> None:
        self.one_of(self.left_behind, data).end(20)
        self.turn()

    @precondition(lambda self: self.sending or self.reading)
    @rule(data=st.data(), twice=st.booleans())
    def is_through(self, data: st.DataObject, twice: bool) -> None:
        room = self.one_of(self.sending or self.reading, data)
        for _ in range(1 + twice):
            room.release()
        self.turn()

    def rooms(self) -> Iterator[Room]:
        yield from (*self.reading, *self.working, *self.left_behind, *self.sending)
        yield from (room for _, room, _ in self.waiting)

    @invariant()
    def is_conserved_and_within(self) -> None:
        held = sum(each.file + each.work for each in self.rooms())
        assert self.budget.reserved == held == self.told[-1]
        assert all(0 <= told <= BOUNDS.budget for told in self.told)

    @invariant()
    def nobody_waits_who_would_fit(self) -> None:
        if self.waiting:
            assert self.budget.reserved + self.waiting[0][2] > BOUNDS.budget

    def teardown(self) -> None:
        while self.waiting or self.working or self.left_behind:  # whoever waits is served once others have ended
            for room in (*self.working, *self.left_behind):
                room.end(1)
                room.release()
            for room in (*self.sending, *self.reading):
                room.release()
            assert self.waiting or self.working or self.left_behind
            self.working, self.left_behind, self.sending, self.reading = [], [], [], []
            self.turn()
        for room in (*self.sending, *self.reading):
            room.release()
        assert self.budget.reserved == 0
        self.loop.close()


Budget.TestCase.settings = machine_settings()
TestBudget = Budget.TestCase


@pytest.mark.parametrize("leaves", [lambda task: task.cancel(), lambda _: None])
async def test_who_waits_first_is_served_first(leaves: Callable[[asyncio.Task[None]], object]) -> None:
    budget = MemoryBudget(BOUNDS)
    rooms = [budget.room() for _ in range(4)]
    await rooms[0].take_work(60)
    large, small, last = (
        asyncio.create_task(room.take_work(size)) for room, size in zip(rooms[1:], (70, 10, 40), strict=True)
    )
    await asyncio.sleep(0)
    assert [room.work for room in rooms] == [60, 0, 0, 0]  # the small one would fit, and does not overtake

    leaves(large)
    await asyncio.wait([large], timeout=0.01)
    if large.done():
        assert [room.work for room in rooms] == [60, 0, 10, 0]
        rooms[0].release()
        await asyncio.gather(small, last)
    else:
        rooms[0].release()
        await asyncio.gather(large, small)
        assert [room.work for room in rooms] == [0, 70, 10, 0]
        rooms[1].release()
        await last
