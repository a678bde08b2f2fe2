"""The loop: bounded, patient, and not to be stopped by one order's trouble."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cortex_core.observability import MetricsCollector
from cortex_core.testing import FakeClock, eventually
from cortex_order.adapters.backoff import JitteredBackoff
from cortex_order.adapters.processing import IDLE, Processing

from .workshop import TRACE, Corrupt, Workshop


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


def test_the_backoff_grows_to_its_limit_and_is_never_in_step() -> None:
    backoff: Callable[[int], timedelta] = JitteredBackoff(0.5, 5.0)

    for tries, ceiling in ((0, 0.5), (1, 1.0), (3, 4.0), (4, 5.0), (10_000, 5.0)):
        waits = {backoff(tries).total_seconds() for _ in range(50)}
        assert ceiling / 2 <= min(waits) < max(waits) <= ceiling
