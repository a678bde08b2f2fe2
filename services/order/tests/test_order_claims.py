"""What a replica has in hand is its own for as long as it says, and no longer."""

import asyncio
from datetime import timedelta

from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.processing import CROWDED, IDLE, Processing

from .workshop import CLAIM, Workshop


async def test_an_order_that_cannot_even_be_put_off_is_kept_in_hand_for_a_while_and_comes_again(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.trouble, workshop.postpone_trouble = {"bad": OSError("disk")}, [OSError("disk")]
    workshop.add("bad")
    processing.wake()
    await eventually(lambda: not workshop.postpone_trouble and clock.sleepers)
    assert processing.in_flight == 1

    await clock.advance(IDLE)
    assert processing.in_flight == 0
    await clock.advance(CLAIM)

    assert workshop.done == ["bad"]


async def test_what_it_has_in_hand_is_its_own_for_as_long_as_the_claim_says(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1)

    assert workshop.entries["slow"].due_at == clock.now() + timedelta(seconds=CLAIM)


async def test_what_takes_longer_than_its_claim_stays_in_hand_for_as_long_as_it_takes(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1 and clock.sleepers)

    for _ in range(100):
        await clock.advance(1.0)
        assert workshop.entries["slow"].due_at >= clock.now() + timedelta(seconds=CLAIM / 2)

    assert (processing.in_flight, len(workshop.contexts)) == (1, 1)
    assert len(workshop.renewed) == 6


async def test_a_claim_that_could_not_be_renewed_is_renewed_a_little_later_and_in_time(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1 and clock.sleepers)
    workshop.renew_trouble = [OSError("disk")]

    await clock.advance(CLAIM / 2)
    assert (workshop.renew_trouble, workshop.renewed) == ([], [])
    await clock.advance(IDLE)

    assert workshop.renewed == [["slow"]]
    assert workshop.entries["slow"].due_at == clock.now() + timedelta(seconds=CLAIM)


async def test_only_what_is_in_hand_is_renewed(processing: Processing, workshop: Workshop, clock: FakeClock) -> None:
    workshop.add("quick")
    processing.wake()
    await eventually(lambda: workshop.done == ["quick"] and not processing.in_flight)

    await clock.advance(3 * CLAIM)

    assert workshop.renewed == []


async def test_an_order_that_is_due_again_while_it_is_in_our_hands_is_not_begun_twice(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1 and clock.sleepers)

    workshop.entries["slow"].due_at = clock.now()
    await clock.advance(IDLE)

    assert workshop.claims > 1
    assert (processing.in_flight, len(workshop.contexts)) == (1, 1)


async def test_what_is_being_drained_stays_in_hand_meanwhile(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1 and clock.sleepers)
    draining = asyncio.create_task(processing.drain(5.0))
    await asyncio.sleep(0)

    await clock.advance(2 * CLAIM)

    assert workshop.entries["slow"].due_at > clock.now()
    workshop.gate.set()
    await draining


async def test_where_another_replica_takes_all_that_is_due_it_looks_again_soon_and_not_at_once(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.locked_by_another = True
    workshop.add("order")
    processing.wake()
    await eventually(lambda: workshop.claims == 1 and clock.sleepers)
    workshop.locked_by_another = False

    await clock.advance(CROWDED / 2)
    assert workshop.claims == 1
    await clock.advance(CROWDED / 2)

    assert workshop.done == ["order"]
