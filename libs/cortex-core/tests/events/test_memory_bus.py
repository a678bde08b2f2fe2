"""The bus within one process."""

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from cortex_core.events import EventBus, MemoryEventBus
from cortex_core.testing import FakeClock, eventually
from cortex_core.testing.contracts.bus import Down, EventBusContract, Heard, RecordingHooks, order_event


class TestMemoryEventBus(EventBusContract):
    @pytest.fixture
    async def bus(self, hooks: RecordingHooks, drain: float) -> AsyncIterator[EventBus]:
        bus = MemoryEventBus(hooks=hooks, drain=drain)
        yield bus
        await bus.aclose()

    @pytest.fixture
    def elsewhere(self, bus: EventBus) -> EventBus:
        return bus


async def test_a_retry_waits_by_the_clock_of_the_bus() -> None:
    clock = FakeClock()
    bus = MemoryEventBus(clock=clock)
    heard = Heard(ord_1=[Down("once", retry_after=3.0)])
    await bus.consume("counting", ["order"], heard)
    await bus.publish([order_event()])
    await eventually(lambda: clock.sleepers)

    await clock.advance(2.9)
    assert len(heard.events) == 1
    await clock.advance(0.1)
    assert len(heard.events) == 2

    await bus.aclose()


async def test_who_is_further_behind_than_the_history_goes_on_with_the_oldest_kept_and_is_told() -> None:
    hooks = RecordingHooks()
    bus = MemoryEventBus(history=10, hooks=hooks)
    await bus.publish([order_event(number) for number in range(25)])
    group, subscriber = Heard(), Heard()
    await bus.consume("late", ["order"], group)
    await bus.subscribe(["order"], subscriber)
    await bus.publish([order_event(number) for number in range(25, 40)])

    await eventually(lambda: subscriber.numbers == list(range(30, 40)))
    await eventually(lambda: len(group.events) == 20)
    assert group.numbers == [*range(15, 25), *range(30, 40)]
    assert [gap.lost for gap in hooks.gaps] == [True, True, True]

    await bus.aclose()


def test_a_history_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="history"):
        MemoryEventBus(history=0)


def test_it_needs_the_standard_library_only() -> None:
    source = """
import sys
before = set(sys.modules)
import cortex_core.events
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(roots - sys.stdlib_module_names - {"cortex_core"}))
"""

    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
