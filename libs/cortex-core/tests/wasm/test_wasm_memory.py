"""The memory manager: what goes in comes out, and no pointer is taken on trust."""

import gc
import time
import weakref
from collections.abc import Callable

import pytest

from cortex_core.wasm import WasmBadPointer, WasmInstance, WasmOutOfMemory, WasmTrapped

Guest = Callable[..., WasmInstance]

LIAR = """(module (memory (export "memory") 1)
  (func (export "allocate") (param i32) (result i32) (i32.const {answer}))
  (func (export "deallocate") (param i32)))"""


def test_what_is_written_is_what_the_guest_and_the_reader_see(guest: Guest) -> None:
    instance = guest()
    pointer = instance.memory.allocate(5)

    instance.memory.write_buffer(pointer, b"hello")

    assert instance.call("first_byte", pointer) == ord("h")
    assert instance.memory.read_buffer(pointer) == b"hello"


def test_parts_of_a_buffer_are_written_and_read(guest: Guest) -> None:
    memory = guest().memory
    pointer = memory.allocate(8)
    memory.write_buffer(pointer, bytes(8))

    memory.write_buffer(pointer, bytearray(b"abc"), offset=5)

    assert memory.read_buffer(pointer, 4, offset=4) == b"\0abc"


def test_a_view_is_the_buffer_itself_and_ends_with_its_block(guest: Guest) -> None:
    instance = guest()
    pointer = instance.memory.allocate(4)

    with instance.memory.view(pointer) as window:
        window[:] = b"view"
    assert instance.memory.read_buffer(pointer) == b"view"
    with pytest.raises(ValueError, match="released"):
        bytes(window)


def gone(something: "weakref.ref[object]") -> bool:
    """A collection does nothing while another thread of the process is in one."""
    gc.collect()
    if something() is not None:
        time.sleep(0.01)
    return something() is None


def test_a_view_kept_too_long_keeps_its_memory_and_no_longer(guest: Guest) -> None:
    instance = guest()
    store = weakref.ref(instance._store)
    pointer = instance.memory.allocate(4)
    with instance.memory.view(pointer) as window:
        window[:] = b"kept"
        kept = window[1:3]

    del instance, window
    gc.collect()
    assert store() is not None  # else the next line would read what is no longer ours
    assert bytes(kept) == b"ep"

    del kept
    assert any(gone(store) for _ in range(100))


def test_memory_that_grew_is_seen_whole(guest: Guest) -> None:
    memory = guest(memory_pages=64).memory
    small = memory.allocate(16)
    memory.write_buffer(small, b"before growth 16")
    size = memory.size

    large = memory.allocate(1 << 20)
    memory.write_buffer(large, b"\xab" * (1 << 20))

    assert memory.size > size
    assert memory.read_buffer(small) == b"before growth 16"
    assert memory.read_buffer(large, 1, offset=(1 << 20) - 1) == b"\xab"


def test_a_freed_buffer_is_refused_wherever_it_is_used(guest: Guest) -> None:
    instance = guest()
    memory, pointer = instance.memory, instance.memory.allocate(4)
    memory.deallocate(pointer)
    assert instance.call("freed") == pointer

    for use in (memory.deallocate, memory.read_buffer, lambda freed: memory.write_buffer(freed, b"x")):
        with pytest.raises(WasmBadPointer):
            use(pointer)


@pytest.mark.parametrize("shift", [-1, 1, 4, 1 << 20, -(1 << 33)])
def test_a_pointer_that_was_not_handed_out_is_refused(guest: Guest, shift: int) -> None:
    memory = guest().memory
    pointer = memory.allocate(4)

    for use in (memory.deallocate, memory.read_buffer, lambda foreign: memory.write_buffer(foreign, b"x")):
        with pytest.raises(WasmBadPointer):
            use(pointer + shift)
    assert memory.allocated == 4


@pytest.mark.parametrize(("size", "offset"), [(5, 0), (1, 4), (4, 1), (-1, 0), (1, -1), (0, 5)])
def test_a_range_that_leaves_the_buffer_is_refused(guest: Guest, size: int, offset: int) -> None:
    memory = guest().memory
    pointer, neighbour = memory.allocate(4), memory.allocate(4)
    memory.write_buffer(neighbour, b"mine")

    with pytest.raises(WasmBadPointer):
        memory.read_buffer(pointer, size, offset)
    if size > 0:
        with pytest.raises(WasmBadPointer):
            memory.write_buffer(pointer, bytes(size), offset)
    assert memory.read_buffer(neighbour) == b"mine"


def test_no_room_is_said_and_harms_nobody(guest: Guest) -> None:
    memory = guest(memory_pages=2).memory
    pointer = memory.allocate(4)
    memory.write_buffer(pointer, b"safe")

    for size in (1 << 20, 1 << 40):
        with pytest.raises(WasmOutOfMemory):
            memory.allocate(size)

    assert memory.read_buffer(pointer) == b"safe"
    assert memory.allocated == 4


@pytest.mark.parametrize("size", [0, -1])
def test_a_buffer_of_nothing_is_a_mistake(guest: Guest, size: int) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        guest().memory.allocate(size)


@pytest.mark.parametrize("answer", [65530, 65536, -16])
def test_an_allocator_that_points_outside_of_memory_is_not_believed(guest: Guest, answer: int) -> None:
    with pytest.raises(WasmTrapped, match="cannot lie"):
        guest(LIAR.format(answer=answer)).memory.allocate(16)


def test_an_allocator_that_hands_out_the_same_bytes_twice_is_not_believed(guest: Guest) -> None:
    memory = guest(LIAR.format(answer=1024)).memory
    memory.allocate(16)

    with pytest.raises(WasmTrapped, match="cannot lie"):
        memory.allocate(8)
