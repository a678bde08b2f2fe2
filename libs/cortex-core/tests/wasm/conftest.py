"""Guests in the text format, each with one habit."""

from collections.abc import Callable

import pytest
from wasmtime import wat2wasm

from cortex_core.wasm import Limits, WasmInstance, WasmModule

ALLOCATOR = """
(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (global $freed (mut i32) (i32.const 0))
  (func (export "allocate") (param $size i32) (result i32) (local $at i32)
    (local.set $at (global.get $next))
    (block $grown
      (loop $again
        (br_if $grown (i32.le_u (i32.add (local.get $at) (local.get $size)) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const 0))))
        (br $again)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "deallocate") (param $pointer i32) (global.set $freed (local.get $pointer)))
  (func (export "freed") (result i32) (global.get $freed))
  (func (export "first_byte") (param $pointer i32) (result i32) (i32.load8_u (local.get $pointer))))
"""


@pytest.fixture
def guest() -> Callable[..., WasmInstance]:
    """An instance of a guest given as text."""

    def instantiate(text: str = ALLOCATOR, **limits: float) -> WasmInstance:
        return WasmModule(bytes(wat2wasm(text)), limits=Limits(**limits)).instantiate()  # type: ignore[arg-type]

    return instantiate
