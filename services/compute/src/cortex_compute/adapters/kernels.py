"""The image kernels: `image.wasm`, built from services/compute/wasm/image.c, run in wasmtime.

Owns the module's bytes, its limits, and the check that it still computes what it should. `Kernels` belongs to one
thread; `load_module` is for the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Final

from cortex_compute.domain import Operation
from cortex_core.kernel import CortexError, Kind
from cortex_core.wasm import Limits, WasmDeadlineExceeded, WasmModule

TILE_PIXELS: Final = 1 << 18
"""Pixels a call works on: 1 MiB stays in a processor's cache between the copies in and out, and a call's own cost (some
20 µs) is small against it. An instance's memory is as small, whatever the image."""

_LIMITS: Final = Limits(memory_pages=64, deadline=0.2)
_SAMPLE: Final = bytes((255, 0, 0, 255, 0, 255, 0, 128, 0, 0, 255, 0, 9, 9, 9, 1))
_GREY_SAMPLE: Final = bytes((76, 76, 76, 255, 150, 150, 150, 128, 29, 29, 29, 0, 9, 9, 9, 1))


class WrongResult(CortexError):
    """The module computes something else than it should."""

    code, kind = "compute.wrong-result", Kind.INTERNAL


def load_module() -> WasmModule:
    """Compiles the module that came with this package."""
    return WasmModule(files("cortex_compute").joinpath("image.wasm").read_bytes(), limits=_LIMITS)


class Kernels:
    """An instance of the module with one buffer, for the thread that uses it."""

    def __init__(self, module: WasmModule) -> None:
        self._instance = module.instantiate()
        self._buffer = self._instance.memory.allocate(TILE_PIXELS * 4)

    @contextmanager
    def applied(self, operation: Operation, rgba: bytes) -> Iterator[memoryview]:
        """At most TILE_PIXELS pixels, of four bytes each, after `operation`. The view is good within the block.
        Raises the sandbox's errors: then this object is of no further use."""
        self._instance.memory.write_buffer(self._buffer, rgba)
        self._instance.call(operation.value, self._buffer, len(rgba) // 4)
        with self._instance.memory.view(self._buffer, len(rgba)) as view:
            yield view

    def check(self) -> None:
        """Four pixels through the module. Raises WrongResult, or the sandbox's errors."""
        with self.applied(Operation.GRAYSCALE, _SAMPLE) as view:
            if view != _GREY_SAMPLE:
                raise WrongResult(f"grayscale made {bytes(view).hex()} of {_SAMPLE.hex()}")


class SelfTest:
    """What the probe asks: four pixels through kernels of its own, for one thread. They are made anew after an error: a
    machine that stands still for the length of the deadline is a trap, too, and must not be this service's end."""

    def __init__(self, module: WasmModule) -> None:
        self._module = module
        self._kernels: Kernels | None = None
        with suppress(WasmDeadlineExceeded):  # then the first probe makes them; a module that is none is said at once
            self._kernels = Kernels(module)

    def __call__(self) -> None:
        """Raises WrongResult, or the sandbox's errors."""
        kernels, self._kernels = self._kernels or Kernels(self._module), None
        kernels.check()
        self._kernels = kernels
