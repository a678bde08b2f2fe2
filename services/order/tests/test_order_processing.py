"""The loop: bounded, patient, and not to be stopped by one order's trouble."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from cortex_core.kernel import Context, CortexError, Kind, TraceContext, current
from cortex_core.observability import Logger, MetricsCollector, Tracer, configure_logging
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.backoff import JitteredBackoff
from cortex_order.adapters.processing import CROWDED, IDLE, Processing, Work
from cortex_order.domain import OrderId

START = FakeClock().now()
CLAIM = 30.0
TRACE = TraceContext("1" * 32, "2" * 16)


class Corrupt(CortexError):
    code, kind = "order.corrupt", Kind.INTERNAL


@dataclass
class Entry:
    """A line of the list in memory."""

    work: Work
    due_at: datetime
    claimed: bool = False


class Workshop:
    """A list in memory, and a process that does as each test says. Everything that happens is in `done`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.entries: dict[str, Entry] = {}
        self.done: list[str] = []
        self.contexts: list[Context] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0
        self.trouble: dict[str, Exception] = {}
        self.list_trouble: list[Exception] = []
        self.postpone_trouble: list[Exception] = []
        self.claiming = asyncio.Event()
        self.list_gate = asyncio.Event()
        self.list_gate.set()
        self.locked_by_another = False
        self.claims = 0
        self.stubborn = False
        self.renewed: list[list[str]] = []
        self.renew_trouble: list[Exception] = []
        self.releases = 0
        self.release_trouble: list[Exception] = []
        self.release_gate = asyncio.Event()
        self.release_gate.set()

    async def next_due(self) -> datetime | None:
        if self.list_trouble:
            raise self.list_trouble.pop(0)
        return min((entry.due_at for entry in self.entries.values()), default=None)

    async def claim(self, limit: int, *, until: datetime) -> list[Work]:
        self.claims += 1
        self.claiming.set()
        await self.list_gate.wait()
        due = sorted((e for e in self.entries.values() if e.due_at <= self.clock.now()), key=lambda e: e.due_at)[:limit]
        if self.locked_by_another:
            return []
        for entry in due:
            entry.due_at, entry.claimed = until, True
        return [entry.work for entry in due]

    async def renew(self, works: Sequence[Work], *, until: datetime) -> None:
        if self.renew_trouble:
            raise self.renew_trouble.pop()
        self.renewed.append(sorted(work.order_id for work in works))
        for work in works:
            self.entries[work.order_id].due_at = until

    async def release(self) -> None:
        self.releases += 1
        await self.release_gate.wait()
        if self.release_trouble:
            raise self.release_trouble.pop()
        for entry in self.entries.values():
            if entry.claimed:
                entry.due_at, entry.claimed = self.clock.now(), False

    async def postpone(self, order_id: OrderId, *, until: datetime) -> None:
        if self.postpone_trouble:
            raise self.postpone_trouble.pop()
        old = self.entries[order_id].work
        assert current().tenant == old.tenant
        self.add(order_id, after=(until - START).total_seconds(), tries=old.tries + 1, tenant=old.tenant)

    async def process(self, order_id: OrderId) -> None:
        self.contexts.append(current())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._at_the_gate()
            if order_id in self.trouble:
                raise self.trouble.pop(order_id)
        finally:
            self.at_once -= 1
        self._drop(order_id)
        self.done.append(order_id)

    async def _at_the_gate(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
            await self.gate.wait()  # a connection that is given back to a database that does not answer

    def add(self, name: str, *, after: float = 0.0, tries: int = 0, tenant: str = "public") -> None:
        due = START + timedelta(seconds=after)
        self.entries[name] = Entry(Work(OrderId(name), tenant, tries, TRACE.traceparent), due)

    def _drop(self, order_id: str) -> None:
        self.entries.pop(order_id, None)


@pytest.fixture
def workshop(clock: FakeClock) -> Workshop:
    return Workshop(clock)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging(service="order", stream=stream)
    yield stream
    configure_logging(service="order")


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
async def processing(workshop: Workshop, clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[Processing]:
    processing = Processing(
        workshop,
        workshop.process,
        limit=3,
        claim=CLAIM,
        backoff=lambda tries: timedelta(seconds=10 * (tries + 1)),
        clock=clock,
        tracer=Tracer("order"),
        logger=Logger.get("order"),
        put_off=metrics.create_counter("cortex_hub_orders_put_off_total", "", ("code",)),
    )
    running = asyncio.create_task(processing.run())
    yield processing
    assert not running.done()
    workshop.gate.set()
    await processing.drain(1.0)
    running.cancel()


async def test_what_is_on_the_list_when_it_starts_is_worked_off(processing: Processing, workshop: Workshop) -> None:
    for n in range(10):
        workshop.add(f"order-{n}")

    processing.wake()

    await eventually(lambda: len(workshop.done) == 10)


async def test_never_more_than_the_limit_at_once(processing: Processing, workshop: Workshop) -> None:
    workshop.gate.clear()
    for n in range(10):
        workshop.add(f"order-{n}")
    processing.wake()
    await eventually(lambda: processing.in_flight == 3)
    processing.wake()
    workshop.gate.set()

    await eventually(lambda: len(workshop.done) == 10)
    assert workshop.most_at_once == 3
    assert len(set(workshop.done)) == 10


async def test_an_order_is_left_alone_until_it_is_due(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.add("later", after=2.0)
    workshop.add("now")
    processing.wake()
    await eventually(lambda: workshop.done == ["now"])

    await clock.advance(1.9)
    assert workshop.done == ["now"]
    await clock.advance(0.1)

    assert workshop.done == ["now", "later"]


async def test_what_another_replica_left_on_the_list_is_found_unasked(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    await eventually(lambda: clock.sleepers)
    workshop.add("left")

    await clock.advance(IDLE)

    assert workshop.done == ["left"]


@pytest.mark.parametrize(("error", "code"), [(Corrupt("bad"), "order.corrupt"), (KeyError("bug"), "internal")])
async def test_one_orders_trouble_puts_it_off_counts_it_and_stops_nobody(
    processing: Processing, workshop: Workshop, clock: FakeClock, metrics: MetricsCollector, error: Exception, code: str
) -> None:
    workshop.trouble = {"bad": error}
    workshop.add("bad")
    workshop.add("good")
    processing.wake()
    await eventually(lambda: workshop.done == ["good"] and not processing.in_flight)

    assert metrics.value("cortex_hub_orders_put_off_total", code=code) == 1
    await clock.advance(9.9)
    assert workshop.done == ["good"]
    await clock.advance(0.1)
    assert workshop.done == ["good", "bad"]


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


async def test_a_list_that_cannot_be_read_is_read_again_later(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    workshop.list_trouble = [OSError("disk")]
    workshop.add("order")
    processing.wake()
    await eventually(lambda: not workshop.list_trouble and clock.sleepers)

    await clock.advance(IDLE)

    assert workshop.done == ["order"]


async def test_an_order_is_processed_as_its_tenant_and_in_its_trace(processing: Processing, workshop: Workshop) -> None:
    workshop.add("order", tenant="acme")
    processing.wake()
    await eventually(lambda: workshop.done)

    (context,) = workshop.contexts
    assert context.tenant == "acme"
    assert context.trace is not None
    assert context.trace.trace_id == TRACE.trace_id
    assert context.deadline is None


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

    await asyncio.wait_for(processing.drain(0.0), 5.0)

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

    await asyncio.wait_for(processing.drain(0.0), 5.0)

    assert processing.in_flight == 1
    assert workshop.releases == 1
    assert "orders in payment dropped" in lines.getvalue()


def test_the_backoff_grows_to_its_limit_and_is_never_in_step() -> None:
    backoff: Callable[[int], timedelta] = JitteredBackoff(0.5, 5.0)

    for tries, ceiling in ((0, 0.5), (1, 1.0), (3, 4.0), (4, 5.0), (10_000, 5.0)):
        waits = {backoff(tries).total_seconds() for _ in range(50)}
        assert ceiling / 2 <= min(waits) < max(waits) <= ceiling
