"""Hostile guests end, and their neighbours do not notice."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest
from wasmtime import wat2wasm

from cortex_core.testing import assert_bound, eventually
from cortex_core.wasm import Limits, WasmDeadlineExceeded, WasmInstance, WasmModule, WasmRejected, WasmTrapped
from cortex_core.wasm.sandbox import EpochTicker

Guest = Callable[..., WasmInstance]

ENDLESS = '(module (func (export "spin") (loop $again (br $again))) (func (export "nothing")))'
RECURSIVE = '(module (func $down (export "down") (param i64) (call $down (i64.add (local.get 0) (i64.const 1)))))'
GREEDY = """(module (memory (export "memory") 1)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))"""


@pytest.mark.bound
def test_an_endless_loop_ends_within_a_quarter_of_a_second_and_its_thread_lives_on() -> None:
    module = WasmModule(bytes(wat2wasm(ENDLESS)))

    began = time.monotonic()
    with pytest.raises(WasmDeadlineExceeded, match=r"spin ran longer than 0\.2 s"):
        module.instantiate().call("spin")
    took = time.monotonic() - began

    assert took > 0.15
    assert_bound(took, 0.25)
    module.instantiate().call("nothing")


def test_the_deadline_is_no_reason_to_try_again(guest: Guest) -> None:
    with pytest.raises(WasmDeadlineExceeded) as caught:
        guest(ENDLESS, deadline=0.02).call("spin")

    assert not caught.value.retryable


def test_an_endless_start_function_ends_too(guest: Guest) -> None:
    with pytest.raises(WasmDeadlineExceeded, match="start"):
        guest("(module (func $spin (loop $again (br $again))) (start $spin))", deadline=0.05)


def test_each_call_has_all_of_its_time_however_long_ago_the_instance_was_made() -> None:
    module = WasmModule(bytes(wat2wasm(ENDLESS)), limits=Limits(deadline=0.05))
    older, other = module.instantiate(), module.instantiate()

    with pytest.raises(WasmDeadlineExceeded):
        other.call("spin")  # in which the module's clock goes beyond both first deadlines

    older.call("nothing")


def test_other_threads_run_while_a_guest_does() -> None:
    """The guest runs for as long as another thread has not counted to a hundred: by its own deadline it would outlive
    the test, and with the GIL held nobody would count."""
    module = WasmModule(bytes(wat2wasm(ENDLESS)), limits=Limits(deadline=600.0))
    entered, counted = threading.Event(), list[int]()

    class Entered(EpochTicker):
        def __enter__(self) -> int:
            entered.set()
            return super().__enter__()

    def count_and_end_it() -> None:
        entered.wait(60)
        for number in range(100):
            counted.append(number)
            time.sleep(0)
        while not over.is_set():  # again: the deadline may not have been set at the first
            for _ in range(module.limits.ticks + 1):
                module._engine.increment_epoch()

    instance, over = module.instantiate(), threading.Event()
    instance._ticker = Entered(module._engine.increment_epoch)
    thread = threading.Thread(target=count_and_end_it, daemon=True)
    thread.start()
    with pytest.raises(WasmDeadlineExceeded):
        instance.call("spin")
    over.set()
    thread.join()

    assert len(counted) == 100


def test_an_endless_recursion_traps(guest: Guest) -> None:
    with pytest.raises(WasmTrapped, match="stack overflow"):
        guest(RECURSIVE).call("down", 0)


def test_memory_stops_growing_at_the_limit(guest: Guest) -> None:
    instance = guest(GREEDY, memory_pages=4)

    assert [instance.call("grow", 3), instance.call("grow", 1), instance.call("size")] == [1, -1, 4]


def test_a_module_that_begins_above_the_memory_limit_is_refused(guest: Guest) -> None:
    with pytest.raises(WasmRejected, match="limits"):
        guest('(module (memory (export "memory") 5))', memory_pages=4)


def test_a_table_above_the_limit_is_refused(guest: Guest) -> None:
    with pytest.raises(WasmRejected, match="limits"):
        guest("(module (table 1000 funcref))", table_elements=100)


@pytest.mark.parametrize(
    "wrong", [{"deadline": 0.001}, {"memory_pages": 0}, {"stack_bytes": -1}, {"module_bytes": 0}, {"table_elements": 0}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).partition("_")[0]):
        Limits(**wrong)  # type: ignore[arg-type]


async def test_the_ticker_rests_while_nobody_is_inside_and_its_thread_goes_away() -> None:
    ticks: list[float] = []
    ticker = EpochTicker(lambda: ticks.append(time.monotonic()), tick=0.005, idle=0.05)

    with ticker:
        thread = ticker._thread
        assert thread is not None
        await eventually(lambda: len(ticks) >= 3)
    await eventually(lambda: not thread.is_alive())
    seen = len(ticks)

    with ticker:  # a new thread
        await eventually(lambda: len(ticks) > seen)
    await eventually(lambda: ticker._thread is None)


async def test_ticks_that_came_late_are_made_up_for_and_owed_to_who_comes_in_between() -> None:
    ticks, hold, released = [0], threading.Event(), list[float]()

    def advance() -> None:
        ticks[0] += 1
        if ticks[0] == 2:
            assert hold.wait(60)
            released.append(time.monotonic())

    ticker = EpochTicker(advance, tick=0.01)
    with ticker as owed_at_first:
        began = time.monotonic()
        await eventually(lambda: ticks[0] == 2)
        threading.Timer(0.1, hold.set).start()
        with ticker as owed:  # waits for the ticker, which is held up for 100 ms
            assert ticks[0] + owed >= int((released[0] - began) / 0.01) - 1
            await eventually(lambda: ticks[0] >= 12)

    assert owed_at_first == 0


async def test_a_dropped_module_takes_its_ticker_along() -> None:
    module = WasmModule(bytes(wat2wasm(ENDLESS)))
    module.instantiate().call("nothing")
    left, thread = weakref.ref(module._engine), module._ticker._thread
    assert thread is not None

    del module

    await asyncio.to_thread(thread.join, 60)
    gc.collect()
    assert left() is None
