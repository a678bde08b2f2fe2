"""WebAssembly guests: compiled once, one instance a thread, within limits of memory and time.

    module = WasmModule(code, limits=Limits(memory_pages=64))
    instance = module.instantiate()
    pointer = instance.memory.allocate(len(data))
    instance.memory.write_buffer(pointer, data)
    instance.call("grayscale", pointer, len(data) // 4)

Needs the extra `wasm`. `WasmMemoryManager` is the plan's `createMemoryManager`: an instance has one as `memory`.
"""

from cortex_core.wasm.errors import (
    WasmBadPointer,
    WasmBusy,
    WasmDeadlineExceeded,
    WasmOutOfMemory,
    WasmRejected,
    WasmTrapped,
)
from cortex_core.wasm.memory import WasmMemoryManager
from cortex_core.wasm.module import WasmInstance, WasmModule
from cortex_core.wasm.sandbox import Limits

__all__ = [
    "Limits",
    "WasmBadPointer",
    "WasmBusy",
    "WasmDeadlineExceeded",
    "WasmInstance",
    "WasmMemoryManager",
    "WasmModule",
    "WasmOutOfMemory",
    "WasmRejected",
    "WasmTrapped",
]
