"""What can go wrong between a host and a WebAssembly guest."""

from cortex_core.kernel.errors import CortexError, Kind


class WasmRejected(CortexError):
    """The module is not valid, uses a feature or an import that the sandbox does not give, or exceeds its limits."""

    code, kind = "wasm.rejected", Kind.INVALID


class WasmTrapped(CortexError):
    """The guest broke off. What its memory holds is unknown: the instance takes no further call; make a new one."""

    code, kind = "wasm.trapped", Kind.INTERNAL


class WasmDeadlineExceeded(CortexError):
    """The guest ran longer than allowed and was ended. Not retryable: the same call would run as long again."""

    code, kind = "wasm.deadline-exceeded", Kind.TIMEOUT

    def __init__(self, function: str, deadline: float) -> None:
        super().__init__(f"{function} ran longer than {deadline} s and was ended", retryable=False)


class WasmBusy(CortexError):
    """Two threads called one instance at once. Each thread needs an instance of its own."""

    code, kind = "wasm.busy", Kind.INTERNAL


class WasmOutOfMemory(CortexError):
    """The guest's allocator has no room left within the memory limit."""

    code, kind = "wasm.out-of-memory", Kind.INTERNAL


class WasmBadPointer(CortexError):
    """A pointer that the memory manager did not hand out or has taken back, or a range that leaves its buffer."""

    code, kind = "wasm.bad-pointer", Kind.INTERNAL
