"""The WebAssembly module: equal to the oracle bit for bit, built from the source beside it, and really SIMD."""

import hashlib
import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule
from wasmtime import Config, Engine, Module, WasmtimeError

from cortex_compute.adapters.kernels import TILE_PIXELS, Kernels, SelfTest, load_module
from cortex_compute.domain import Operation
from cortex_core.wasm import Limits, WasmDeadlineExceeded, WasmInstance, WasmModule, WasmOutOfMemory, WasmTrapped

SOURCE = Path(__file__).parent.parent / "wasm"
CODE = files("cortex_compute").joinpath("image.wasm").read_bytes()
MANIFEST: dict[str, Any] = json.loads(files("cortex_compute").joinpath("image.manifest.json").read_text())

KERNELS = Kernels(load_module())


def greyed(rgba: bytes, kernels: Kernels = KERNELS) -> bytes:
    with kernels.applied(Operation.GRAYSCALE, rgba) as view:
        return bytes(view)


def luma(red: int, green: int, blue: int) -> int:
    return (19595 * red + 38470 * green + 7471 * blue + 32768) // 65536


def oracle(rgba: bytes) -> bytes:
    pixels = (rgba[at : at + 4] for at in range(0, len(rgba), 4))
    return b"".join(bytes([luma(*pixel[:3])] * 3 + [pixel[3]]) for pixel in pixels)


@settings(deadline=None)  # a busy machine is not a failure
@given(st.binary(max_size=400).map(lambda data: data[: len(data) // 4 * 4]))
def test_every_pixel_is_the_oracles(rgba: bytes) -> None:
    assert greyed(rgba) == oracle(rgba)


@pytest.mark.parametrize("pixels", range(24))
def test_every_length_of_tail_is_right_and_nothing_behind_it_is_touched(pixels: int) -> None:
    rgba = bytes((each * 37 + 11) % 256 for each in range(pixels * 4))
    beyond = bytes(range(200, 216))
    greyed(rgba + beyond)  # so that the bytes behind the second call's pixels are known

    with KERNELS.applied(Operation.GRAYSCALE, rgba):
        after = KERNELS._instance.memory.read_buffer(KERNELS._buffer, len(beyond), offset=len(rgba))

    assert greyed(rgba) == oracle(rgba)
    assert after == oracle(beyond)


def test_every_value_of_every_channel_is_right_beside_extremes_of_the_others() -> None:
    colours = [
        (value, low, high)[turn:] + (value, low, high)[:turn]
        for value in range(256)
        for low in (0, 1, 127, 255)
        for high in (0, 128, 254, 255)
        for turn in range(3)
    ]
    rgba = b"".join(bytes((*colour, number % 256)) for number, colour in enumerate(colours))

    assert greyed(rgba) == oracle(rgba)


def test_what_is_grey_stays_as_it_is() -> None:
    rgba = b"".join(bytes((value, value, value, 255 - value)) for value in range(256))

    assert greyed(rgba) == rgba


def test_a_whole_tile_fits_and_the_memory_never_grows() -> None:
    kernels = Kernels(load_module())
    size = kernels._instance.memory.size

    for _ in range(3):
        assert greyed(bytes((10, 200, 30, 4)) * TILE_PIXELS, kernels) == bytes((124, 124, 124, 4)) * TILE_PIXELS

    assert kernels._instance.memory.size == size


def test_a_length_beyond_memory_traps_and_does_not_leave_it() -> None:
    instance = load_module().instantiate()

    with pytest.raises(WasmTrapped, match="memory out of bounds"):
        instance.call("grayscale", instance.memory.allocate(16), 1 << 24)


def test_the_module_was_built_from_the_source_beside_it() -> None:
    rebuild = "image.c has changed: run services/compute/wasm/build.sh and commit what it writes"
    assert MANIFEST["sourceSha256"] == hashlib.sha256((SOURCE / "image.c").read_bytes()).hexdigest(), rebuild
    assert MANIFEST["moduleSha256"] == hashlib.sha256(CODE).hexdigest(), rebuild


def test_the_module_was_built_the_way_the_script_builds() -> None:
    script = (SOURCE / "build.sh").read_text()

    assert all(flag in script for flag in MANIFEST["flags"])
    assert "-msimd128" in MANIFEST["flags"]


def test_the_module_is_no_module_where_simd_is_off() -> None:
    config = Config()
    config.wasm_simd = False
    config.wasm_relaxed_simd = False

    with pytest.raises(WasmtimeError, match="SIMD support is not enabled"):
        Module(Engine(config), CODE)


def test_the_module_exports_what_is_documented_and_imports_nothing() -> None:
    assert load_module().exports == ["memory", "allocate", "deallocate", *[each.value for each in Operation]]


@pytest.mark.skipif(not (shutil.which("clang") and shutil.which("wasm-ld")), reason="needs Debian's clang and lld")
def test_a_rebuild_gives_the_same_module(tmp_path: Path) -> None:
    subprocess.run([SOURCE / "build.sh", tmp_path], check=True)
    rebuilt = json.loads((tmp_path / "image.manifest.json").read_text())
    module = (tmp_path / "image.wasm").read_bytes()

    if (rebuilt["compiler"], rebuilt["linker"]) == (MANIFEST["compiler"], MANIFEST["linker"]):
        assert module == CODE
    rgba = bytes((each * 73 + 5) % 256 for each in range(4 * 1003))
    assert greyed(rgba, Kernels(WasmModule(module))) == oracle(rgba)


class AllocatorMachine(RuleBasedStateMachine):
    """The guest's allocator against the host's list: buffers keep their content, what is given back is used again."""

    PAGES = 8
    MODULE = WasmModule(CODE, limits=Limits(memory_pages=PAGES, deadline=60.0))  # a busy machine is not a failure

    def __init__(self) -> None:
        super().__init__()
        self.memory = self.MODULE.instantiate().memory
        self.live: dict[int, bytes] = {}

    buffers = Bundle("buffers")

    @rule(target=buffers, size=st.integers(1, 200_000), fill=st.integers(0, 255))
    def allocate(self, size: int, fill: int) -> int:
        try:
            pointer = self.memory.allocate(size)
        except WasmOutOfMemory:
            assert self.live  # with nothing live, that much would have been there
            return 0
        assert pointer % 16 == 0
        self.live[pointer] = bytes([fill]) * size
        self.memory.write_buffer(pointer, self.live[pointer])
        return pointer

    @rule(pointer=consumes(buffers))
    def deallocate(self, pointer: int) -> None:
        if pointer:
            assert self.memory.read_buffer(pointer) == self.live.pop(pointer)
            self.memory.deallocate(pointer)

    @precondition(lambda self: not self.live)
    @rule()
    def all_of_it_can_be_had_in_one_piece(self) -> None:
        self.memory.deallocate(self.memory.allocate((self.PAGES - 1) * 65536))

    @invariant()
    def buffers_keep_what_was_written(self) -> None:
        assert all(self.memory.read_buffer(pointer) == content for pointer, content in self.live.items())
        assert self.memory.size <= self.PAGES * 65536


AllocatorMachine.TestCase.settings = settings(deadline=None, max_examples=40, stateful_step_count=30)
TestAllocator = AllocatorMachine.TestCase


def test_the_self_test_gets_over_a_trap() -> None:
    """A container that was paused, or had no processor for 0.2 s, traps: once it was never ready again."""
    self_test = SelfTest(load_module())
    kernels = self_test._kernels
    assert kernels is not None
    with pytest.raises(WasmTrapped):
        kernels._instance.call(Operation.GRAYSCALE.value, 0x7FFF0000, 1 << 20)
    with pytest.raises(WasmTrapped, match="trapped before"):
        self_test()

    self_test()
    self_test()


class Paused:
    """A module in a machine that stands still while the first instance is made."""

    def __init__(self, module: WasmModule) -> None:
        self._module = module
        self._pauses = 1

    def instantiate(self) -> WasmInstance:
        if self._pauses:
            self._pauses -= 1
            raise WasmDeadlineExceeded("allocate", 0.2)
        return self._module.instantiate()


def test_a_pause_while_it_starts_is_not_the_services_end() -> None:
    module: Any = Paused(load_module())

    self_test = SelfTest(module)

    self_test()
    self_test()
