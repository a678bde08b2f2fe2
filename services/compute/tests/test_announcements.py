"""Announcements: never in the way, in order, at most once, and what is lost is counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cortex_compute.adapters.announcements import BusAnnouncements
from cortex_compute.domain import ImageFormat, Operation, ProcessedImage
from cortex_contracts import ImageProcessed
from cortex_core.events import CloudEvent
from cortex_core.kernel import CortexError, Kind, TraceContext, use_context
from cortex_core.testing import FakeClock, eventually


class Away(CortexError):
    code, kind = "bus.away", Kind.UNAVAILABLE


class Refused(CortexError):
    code, kind = "bus.refused", Kind.INVALID


def image(width: int) -> ProcessedImage:
    return ProcessedImage(Operation.GRAYSCALE, ImageFormat.PNG, width, 7, 0.125, b"")


@dataclass
class Bus:
    """A bus that can be away, or hang."""

    error: CortexError | None = None
    hangs: bool = False
    calls: int = 0
    sent: list[CloudEvent] = field(default_factory=list)

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.sent.extend(events)

    @property
    def widths(self) -> list[int]:
        return [ImageProcessed.of(event.data).width for event in self.sent]


@dataclass
class Running:
    announcements: BusAnnouncements
    clock: FakeClock
    dropped: list[int]
    troubles: list[CortexError]


@asynccontextmanager
async def running(bus: Bus, capacity: int = 100) -> AsyncIterator[Running]:
    clock, dropped, troubles = FakeClock(), list[int](), list[CortexError]()
    announcements = BusAnnouncements(
        bus.publish, clock=clock, capacity=capacity, on_dropped=dropped.append, on_trouble=troubles.append
    )
    task = asyncio.create_task(announcements.run())
    try:
        yield Running(announcements, clock, dropped, troubles)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_image_becomes_an_event_of_the_contract_in_the_context_it_was_made_in() -> None:
    bus, trace = Bus(), TraceContext.new()
    async with running(bus) as at:
        with use_context(tenant="acme", trace=trace):
            at.announcements.image_processed(image(640))
        await eventually(lambda: bus.sent)

    (event,) = bus.sent
    assert (event.type, event.tenant, event.traceparent) == ("image.processed", "acme", trace.traceparent)
    assert event.dataschema == ImageProcessed.dataschema()
    assert ImageProcessed.of(event.data) == ImageProcessed(
        operation="grayscale", format="png", width=640, height=7, duration=0.125
    )


async def test_more_than_a_batch_is_sent_in_order_and_once() -> None:
    bus = Bus()
    async with running(bus, capacity=1_000) as at:
        for width in range(200):
            at.announcements.image_processed(image(width))
        await eventually(lambda: len(bus.sent) >= 200)

    assert bus.widths == list(range(200))
    assert at.dropped == []


async def test_while_the_bus_is_away_they_wait_and_keep_their_ids() -> None:
    bus = Bus(error=Away("away"))
    async with running(bus) as at:
        at.announcements.image_processed(image(1))
        await eventually(lambda: bus.calls == 1)
        at.announcements.image_processed(image(2))
        await at.clock.advance(0.1)
        await eventually(lambda: bus.calls == 2)

        bus.error = None
        await at.clock.advance(0.5)
        await eventually(lambda: bus.sent)

    assert bus.widths == [1, 2]
    assert len(at.troubles) == 2
    assert at.dropped == []


async def test_the_bus_is_left_in_peace_while_it_is_away() -> None:
    bus = Bus(error=Away("away"))
    async with running(bus) as at:
        at.announcements.image_processed(image(1))
        for _ in range(100):
            await at.clock.advance(0.25)

    assert 6 <= bus.calls <= 11  # after 0.1, 0.5, 1, 2 and then every 5 s: not 100 times in these 25 s


async def test_what_has_no_room_is_dropped_and_counted_and_the_oldest_are_kept() -> None:
    bus = Bus(hangs=True)
    async with running(bus, capacity=3) as at:
        for width in range(5):
            at.announcements.image_processed(image(width))

    assert at.dropped == [1, 1]
    assert [ImageProcessed.of(event.data).width for event in at.announcements._waiting] == [0, 1, 2]


async def test_what_the_bus_will_never_take_is_dropped_and_does_not_stop_the_rest() -> None:
    bus = Bus(error=Refused("malformed"))
    async with running(bus) as at:
        at.announcements.image_processed(image(1))
        await eventually(lambda: at.dropped == [1])
        bus.error = None
        at.announcements.image_processed(image(2))
        await eventually(lambda: bus.sent)

    assert bus.widths == [2]


async def test_at_the_end_what_can_be_sent_is_sent() -> None:
    bus = Bus()
    async with running(bus) as at:
        at.announcements.image_processed(image(1))
        await at.announcements.drain(0.5)

    assert (bus.widths, at.dropped) == ([1], [])


async def test_at_the_end_what_cannot_be_sent_is_counted_and_nobody_waits_long() -> None:
    bus = Bus(hangs=True)
    async with running(bus) as at:
        at.announcements.image_processed(image(1))
        at.announcements.image_processed(image(2))
        drained = asyncio.create_task(at.announcements.drain(0.5))
        await asyncio.sleep(0)
        await at.clock.advance(0.5)
        await drained

    assert at.dropped == [2]
