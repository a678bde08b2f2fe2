"""The backlog: which of the held entries comes next."""

import asyncio
from dataclasses import replace

from cortex_core.events.backlog import Backlog, Entry
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.contracts.bus import order_event


def entry(number: int, subject: str = "ord_1", stream: str = "orders") -> Entry:
    event = order_event(number, subject=subject)
    return Entry(stream, "order", "public", (number, 0), event.to_json(), event)


async def test_the_oldest_entry_comes_first_whenever_it_came() -> None:
    backlog = Backlog(FakeClock())
    for number in (5, 3, 4):  # 3 was a dead consumer's
        backlog.add(entry(number, subject=f"ord_{number}"))

    assert [(await backlog.take()).id[0] for _ in range(3)] == [3, 4, 5]


async def test_an_older_entry_of_a_subject_goes_ahead_of_what_has_not_begun() -> None:
    backlog = Backlog(FakeClock())
    backlog.add(entry(5))
    backlog.add(entry(3))

    assert (await backlog.take()).id[0] == 3


async def test_what_has_been_tried_stays_first_of_its_subject() -> None:
    clock = FakeClock()
    backlog = Backlog(clock)
    backlog.add(entry(5))
    tried = await backlog.take()
    backlog.retry(replace(tried, attempt=2), delay=1.0)
    backlog.add(entry(3))

    taking = asyncio.create_task(backlog.take())
    await eventually(lambda: clock.sleepers)
    await clock.advance(1.0)

    assert (await taking).id[0] == 5
    assert taking.result().attempt == 2


async def test_a_subject_at_work_keeps_its_next_entry_waiting() -> None:
    backlog = Backlog(FakeClock())
    backlog.add(entry(1))
    backlog.add(entry(2))
    first = await backlog.take()

    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()
    backlog.done(first)

    assert (await taking).id[0] == 2


async def test_an_entry_held_already_is_not_held_twice() -> None:
    backlog = Backlog(FakeClock())
    backlog.add(entry(1))
    backlog.add(entry(1))

    assert len(backlog) == 1


async def test_only_the_streams_asked_for_are_handed_out() -> None:
    backlog = Backlog(FakeClock())
    backlog.add(entry(1, stream="files"))
    backlog.add(entry(2, stream="orders"))

    assert (await backlog.take(frozenset({"orders"}))).id[0] == 2


async def test_a_cancelled_take_takes_nothing() -> None:
    backlog = Backlog(FakeClock())
    taking = asyncio.create_task(backlog.take())
    await eventually(backlog.hungry.is_set)

    backlog.add(entry(1))
    taking.cancel()
    await asyncio.wait({taking})

    assert (await asyncio.wait_for(backlog.take(), 30)).id[0] == 1


async def test_it_is_hungry_before_it_is_empty_and_sated_again_by_enough() -> None:
    backlog = Backlog(FakeClock(), low=2)
    for number in range(4):
        backlog.add(entry(number, subject=f"ord_{number}"))
    assert not backlog.hungry.is_set()

    backlog.done(await backlog.take())
    assert not backlog.hungry.is_set()
    backlog.done(await backlog.take())
    assert backlog.hungry.is_set()

    backlog.add(entry(7, subject="ord_7"))
    assert not backlog.hungry.is_set()


async def test_what_is_forgotten_is_not_handed_out_but_what_is_at_work_is_finished() -> None:
    backlog = Backlog(FakeClock())
    for number in range(4):
        backlog.add(entry(number, subject=f"ord_{number % 2}"))
    at_work = await backlog.take()

    backlog.forget({at_work.stream})
    backlog.add(entry(9, subject="ord_9"))

    assert len(backlog) == 2
    assert (await backlog.take()).id == (9, 0)
    backlog.done(at_work)
    assert backlog.take_now() is None
