"""The loop: bounded, patient, and not to be stopped by one order's trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from cortex_core.kernel import Context, CortexError, Kind, TraceContext, current
from cortex_core.observability import Logger, MetricsCollector, Tracer
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.backoff import JitteredBackoff
from cortex_order.adapters.processing import IDLE, Processing, Work
from cortex_order.domain import OrderId

START = FakeClock().now()
TRACE = TraceContext("1" * 32, "2" * 16)


class Corrupt(CortexError):
    code, kind = "order.corrupt", Kind.INTERNAL


class Workshop:
    """A list in memory, and a process that does as each test says. Everything that happens is in `done`."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.works: list[Work] = []
        self.done: list[str] = []
        self.contexts: list[Context] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0
        self.trouble: dict[str, Exception] = {}
        self.list_trouble: list[Exception] = []
        self.looking = asyncio.Event()
        self.list_gate = asyncio.Event()
        self.list_gate.set()

    async def next(self, limit: int) -> list[Work]:
        self.looking.set()
        await self.list_gate.wait()
        if self.list_trouble:
            raise self.list_trouble.pop(0)
        return sorted(self.works, key=lambda work: work.due_at)[:limit]

    async def postpone(self, order_id: OrderId, *, until: object) -> None:
        old = next(work for work in self.works if work.order_id == order_id)
        assert current().tenant == old.tenant
        self._drop(order_id)
        self.add(order_id, after=(until - START).total_seconds(), tries=old.tries + 1)  # type: ignore[operator]  # a datetime

    async def process(self, order_id: OrderId) -> None:
        self.contexts.append(current())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            if order_id in self.trouble:
                raise self.trouble.pop(order_id)
        finally:
            self.at_once -= 1
        self._drop(order_id)
        self.done.append(order_id)

    def add(self, name: str, *, after: float = 0.0, tries: int = 0, tenant: str = "public") -> None:
        due = START + timedelta(seconds=after)
        self.works.append(Work(OrderId(name), tenant, due, tries, TRACE.traceparent))

    def _drop(self, order_id: str) -> None:
        self.works = [work for work in self.works if work.order_id != order_id]


@pytest.fixture
def workshop(clock: FakeClock) -> Workshop:
    return Workshop(clock)


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
async def processing(workshop: Workshop, clock: FakeClock, metrics: MetricsCollector) -> AsyncIterator[Processing]:
    processing = Processing(
        workshop,
        workshop.process,
        limit=3,
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

    draining = asyncio.create_task(processing.drain(5.0))
    await asyncio.sleep(0)
    workshop.gate.set()
    await draining

    assert len(workshop.done) == 3
    assert len(workshop.works) == 2


async def test_a_look_at_the_list_under_way_when_it_drains_begins_nothing(
    processing: Processing, workshop: Workshop, clock: FakeClock
) -> None:
    await eventually(lambda: clock.sleepers)
    workshop.list_gate.clear()
    workshop.looking.clear()
    workshop.add("late")
    processing.wake()
    await workshop.looking.wait()

    await processing.drain(0.0)
    workshop.list_gate.set()
    await clock.advance(0)

    assert (workshop.contexts, processing.in_flight) == ([], 0)


async def test_draining_drops_what_takes_too_long_and_it_stays_on_the_list(
    processing: Processing, workshop: Workshop
) -> None:
    workshop.gate.clear()
    workshop.add("slow")
    processing.wake()
    await eventually(lambda: processing.in_flight == 1)

    await processing.drain(0.01)

    assert workshop.done == []
    assert [work.order_id for work in workshop.works] == ["slow"]


def test_the_backoff_grows_to_its_limit_and_is_never_in_step() -> None:
    backoff: Callable[[int], timedelta] = JitteredBackoff(0.5, 5.0)

    for tries, ceiling in ((0, 0.5), (1, 1.0), (3, 4.0), (4, 5.0), (10_000, 5.0)):
        waits = {backoff(tries).total_seconds() for _ in range(50)}
        assert ceiling / 2 <= min(waits) < max(waits) <= ceiling
