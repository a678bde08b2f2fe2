"""The end of a replica: what is under way ends, nothing new begins, and nobody waits for ever."""

import asyncio
import io

import pytest

from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.processing import Processing

from .workshop import Workshop


async def test_draining_lets_what_is_under_way_end_and_begins_nothing_new(
    processing: Processing, workshop: Workshop
) -> None:
    workshop.gate.clear()
    for n in range(5):
        workshop.add(f"order-{n}")
    processing.wake()
    await eventually(lambda: processing.in_flight == 3)
    claims = workshop.claims

    draining = asyncio.create_task(processing.drain(5.0))
    await asyncio.sleep(0)
    workshop.gate.set()
    await draining

    assert workshop.claims == claims
    assert len(workshop.done) == 3
    assert len(workshop.entries) == 2


async def test_a_look_at_the_list_under_way_when_it_drains_begins_nothing(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    await eventually(lambda: clock.sleepers)
    workshop.list_gate.clear()
    workshop.add("late")
    processing.wake()
    await workshop.claiming.wait()

    await processing.drain(0.0)
    workshop.list_gate.set()
    await clock.advance(0)

    assert (workshop.contexts, processing.in_flight) == ([], 0)
    assert workshop.entries["late"].due_at == clock.now(), "claimed for nobody"


async def test_draining_drops_what_takes_too_long_and_leaves_it_on_the_list_for_whoever_is_there(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1)

    await processing.drain(0.01)

    assert workshop.done == []
    assert [(name, entry.due_at) for name, entry in workshop.entries.items()] == [("slow", clock.now())]


async def test_a_list_that_cannot_be_told_at_the_end_does_not_break_the_end(
    processing: Processing, workshop: Workshop, lines: io.StringIO
) -> None:
    workshop.release_trouble = [OSError("disk")]

    await processing.drain(0.0)

    assert (workshop.releases, workshop.release_trouble) == (1, [])
    assert "orders not released" in lines.getvalue()


async def test_a_list_that_does_not_answer_does_not_hold_up_the_end(
    processing: Processing, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    monkeypatch.setattr("cortex_order.adapters.processing.LAST", 0.01)
    workshop.release_gate.clear()

    await asyncio.wait_for(processing.drain(0.0), 20.0)

    assert workshop.releases == 1
    assert "orders not released" in lines.getvalue()
    workshop.release_gate.set()


async def test_an_order_that_does_not_let_go_does_not_hold_up_the_end_and_is_said(
    processing: Processing, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, lines: io.StringIO
) -> None:
    monkeypatch.setattr("cortex_order.adapters.processing.LAST", 0.01)
    workshop.gate.clear()
    workshop.stubborn = True
    workshop.add("stuck")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1)

    await asyncio.wait_for(processing.drain(0.0), 20.0)

    assert processing.in_flight == 1
    assert workshop.releases == 1
    assert "orders in payment dropped" in lines.getvalue()
