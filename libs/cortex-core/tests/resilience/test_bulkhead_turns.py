"""A bulkhead for who cannot await: a protocol on the event loop."""

import asyncio

import pytest

from cortex_core.resilience import Bulkhead, BulkheadFull, BulkheadTimeout
from cortex_core.testing import FakeClock

Heard = list[BulkheadTimeout | None]


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_place_that_is_free_is_taken_at_once_and_given_back() -> None:
    bulkhead = Bulkhead(1)

    assert bulkhead.try_enter() is True
    assert bulkhead.try_enter() is False
    bulkhead.leave()

    assert bulkhead.permits == 1


async def test_a_place_that_comes_free_is_the_first_turns_and_it_hears_of_it_on_the_loop() -> None:
    bulkhead, heard = Bulkhead(1, max_queue=2), Heard()
    bulkhead.try_enter()
    bulkhead.line_up(heard.append)

    bulkhead.leave()
    assert heard == []
    await settle()

    assert heard == [None]
    assert bulkhead.in_use == 1


async def test_one_who_finds_the_queue_full_is_refused_at_once() -> None:
    bulkhead, heard = Bulkhead(1), Heard()
    bulkhead.try_enter()

    with pytest.raises(BulkheadFull):
        bulkhead.line_up(heard.append)
    await settle()

    assert heard == []


async def test_one_who_waits_too_long_hears_that() -> None:
    clock, heard = FakeClock(), Heard()
    bulkhead = Bulkhead(1, max_queue=1, queue_timeout=1.0, clock=clock)
    bulkhead.try_enter()
    bulkhead.line_up(heard.append)

    await clock.advance(1.0)
    await settle()

    assert [type(refusal) for refusal in heard] == [BulkheadTimeout]
    assert (bulkhead.waiting, bulkhead.in_use) == (0, 1)


async def test_one_who_may_not_wait_at_all_hears_it_afterwards() -> None:
    bulkhead, heard = Bulkhead(1, max_queue=1, queue_timeout=0.0), Heard()
    bulkhead.try_enter()

    bulkhead.line_up(heard.append)
    assert heard == []
    await settle()

    assert [type(refusal) for refusal in heard] == [BulkheadTimeout]


async def test_one_who_lines_up_where_a_place_is_free_has_it() -> None:
    bulkhead, heard = Bulkhead(1, max_queue=1, queue_timeout=None), Heard()

    bulkhead.line_up(heard.append)
    await settle()

    assert heard == [None]
    assert bulkhead.in_use == 1


@pytest.mark.parametrize("comes", [False, True])
async def test_one_who_gives_up_hears_nothing_and_keeps_no_place(comes: bool) -> None:
    bulkhead, heard = Bulkhead(1, max_queue=1, queue_timeout=None), Heard()
    bulkhead.try_enter()
    turn = bulkhead.line_up(heard.append)

    if comes:
        bulkhead.leave()  # the place is on its way to the turn
    turn.give_up()
    turn.give_up()
    if not comes:
        bulkhead.leave()
    await settle()

    assert heard == []
    assert (bulkhead.permits, bulkhead.waiting) == (1, 0)
