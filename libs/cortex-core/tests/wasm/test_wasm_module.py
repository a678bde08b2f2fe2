"""What runs, what is refused, and who may call."""

import threading
from collections.abc import Callable

import pytest
from wasmtime import wat2wasm

from cortex_core.wasm import Limits, WasmBusy, WasmInstance, WasmModule, WasmRejected, WasmTrapped

Guest = Callable[..., WasmInstance]

ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
LANES = """(module (func (export "sum") (param i32) (result i32)
  (i32x4.extract_lane 0 (i32x4.add (i32x4.splat (local.get 0)) (i32x4.splat (local.get 0))))))"""
FRAGILE = """(module
  (memory (export "memory") 1)
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "nothing")))"""
LONG_LOOP = """(module (func (export "spin") (param $rounds i64)
  (loop $again
    (local.set $rounds (i64.sub (local.get $rounds) (i64.const 1)))
    (br_if $again (i64.ne (local.get $rounds) (i64.const 0))))))"""


def test_a_function_gets_its_arguments_and_gives_its_result(guest: Guest) -> None:
    assert guest(ADD).call("add", 2, 40) == 42


def test_simd_is_given(guest: Guest) -> None:
    assert guest(LANES).call("sum", 21) == 42


def test_one_module_makes_instances_that_share_nothing() -> None:
    counter = '(module (global $n (mut i32) (i32.const 0)) (func (export "next") (result i32)'
    counter += " (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))"
    module = WasmModule(bytes(wat2wasm(counter)))
    one, two = module.instantiate(), module.instantiate()

    assert [one.call("next"), one.call("next"), two.call("next")] == [1, 2, 1]


def test_the_module_lists_its_exports() -> None:
    assert WasmModule(bytes(wat2wasm(FRAGILE))).exports == ["memory", "divide", "nothing"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(module (memory i64 1))", id="memory64"),
        pytest.param("(module (memory 1 1 shared))", id="threads"),
        pytest.param("(module (memory 1) (memory 1))", id="multi-memory"),
        pytest.param("(module (func (return_call 0)))", id="tail-call"),
        pytest.param("(module (tag))", id="exceptions"),
        pytest.param("(module (type (struct)))", id="gc"),
        pytest.param(
            "(module (func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0))))", id="relaxed-simd"
        ),
    ],
)
def test_a_feature_that_is_off_is_refused(text: str) -> None:
    code = bytes(wat2wasm(text))

    with pytest.raises(WasmRejected):
        WasmModule(code)


def test_an_import_is_refused_and_named() -> None:
    with pytest.raises(WasmRejected, match=r"env\.now"):
        WasmModule(bytes(wat2wasm('(module (import "env" "now" (func)))')))


@pytest.mark.parametrize("code", [b"", b"\0asm", b"\0asm\1\0\0\0\xff", b"#!/bin/sh\n"])
def test_what_is_not_a_module_is_refused(code: bytes) -> None:
    with pytest.raises(WasmRejected):
        WasmModule(code)


def test_a_module_above_the_size_limit_is_refused_before_it_is_compiled() -> None:
    with pytest.raises(WasmRejected, match="1001 bytes; 1000"):
        WasmModule(b"\0" * 1001, limits=Limits(module_bytes=1000))


@pytest.mark.parametrize(("function", "arguments"), [("minus", (1, 2)), ("add", (1,)), ("add", (1, 2, 3))])
def test_a_call_that_does_not_fit_is_refused_and_harmless(
    guest: Guest, function: str, arguments: tuple[int, ...]
) -> None:
    instance = guest(ADD)

    with pytest.raises(WasmRejected):
        instance.call(function, *arguments)

    assert instance.call("add", 1, 1) == 2


def test_a_trap_says_why(guest: Guest) -> None:
    with pytest.raises(WasmTrapped, match="divide trapped: integer division by zero"):
        guest(FRAGILE).call("divide", 1, 0)


def test_an_instance_that_trapped_takes_no_further_call(guest: Guest) -> None:
    instance = guest(FRAGILE)
    with pytest.raises(WasmTrapped):
        instance.call("divide", 1, 0)

    with pytest.raises(WasmTrapped, match="trapped before"):
        instance.call("nothing")


def test_a_trap_in_the_start_function_is_a_trap(guest: Guest) -> None:
    with pytest.raises(WasmTrapped, match="start trapped: unreachable"):
        guest("(module (func $boom unreachable) (start $boom))")


def test_a_second_thread_inside_one_instance_is_refused(guest: Guest) -> None:
    instance = guest(LONG_LOOP, deadline=60.0)

    def spun_by_two() -> list[str]:
        outcomes: list[str] = []

        def spin() -> None:
            try:
                instance.call("spin", 100_000_000)
                outcomes.append("spun")
            except WasmBusy:
                outcomes.append("refused")

        threads = [threading.Thread(target=spin) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(outcomes)

    outcomes, rounds = spun_by_two(), 1
    while outcomes == ["spun", "spun"] and rounds < 10:  # the second did not get its turn before the first had ended
        outcomes, rounds = spun_by_two(), rounds + 1

    assert outcomes == ["refused", "spun"]


def test_memory_without_an_allocator_has_no_manager(guest: Guest) -> None:
    with pytest.raises(WasmRejected, match="allocate"):
        _ = guest(FRAGILE).memory
