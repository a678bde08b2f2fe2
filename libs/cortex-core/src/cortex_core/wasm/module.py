"""Modules and instances: a module is compiled once a process, and instantiated once a thread.

Owns the calls: each under the sandbox's deadline, each refused after a trap. Refuses modules with imports: a guest
sees its own memory and nothing else. Compiled code is not kept on disk: reading it back means trusting that file like
our own code, and a small module compiles in milliseconds (that of services/compute: 1.4 KB in 8 ms).
"""

import threading
from functools import cached_property

from wasmtime import Func, Instance, Memory, Module, Store, Trap, TrapCode, WasmtimeError

from cortex_core.wasm.errors import WasmBusy, WasmDeadlineExceeded, WasmRejected, WasmTrapped
from cortex_core.wasm.memory import WasmMemoryManager
from cortex_core.wasm.sandbox import EpochTicker, Limits, sandboxed_engine


class WasmModule:
    """A compiled module. May be shared by threads; the instances may not.

    `code` is the binary format. Raises WasmRejected. Compiling runs unmetered in this process: only for modules that
    came with our own code.
    """

    def __init__(self, code: bytes, *, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        if len(code) > self.limits.module_bytes:
            raise WasmRejected(f"a module of {len(code)} bytes; {self.limits.module_bytes} are allowed")
        self._engine = sandboxed_engine(self.limits)
        try:
            self._module = Module(self._engine, code)
        except WasmtimeError as error:
            raise WasmRejected(f"not a module the sandbox takes: {error}") from error
        if self._module.imports:
            names = ", ".join(f"{each.module}.{each.name}" for each in self._module.imports)
            raise WasmRejected(f"the sandbox gives no imports, and the module wants {names}")
        self._ticker = EpochTicker(self._engine.increment_epoch)

    @property
    def exports(self) -> list[str]:
        return [each.name for each in self._module.exports]

    def instantiate(self) -> "WasmInstance":
        """A fresh instance for the calling thread. Raises WasmRejected where its memory begins above the limit,
        WasmTrapped or WasmDeadlineExceeded where its start function does not end well."""
        return WasmInstance(self._module, self._engine_store(), self._ticker, self.limits)

    def _engine_store(self) -> Store:
        store = Store(self._engine)
        store.set_limits(
            memory_size=self.limits.memory_bytes,
            table_elements=self.limits.table_elements,
            instances=1,
            tables=1,
            memories=1,
        )
        return store


class WasmInstance:
    """One guest with its memory. Made by `WasmModule.instantiate`; for one thread at a time."""

    def __init__(self, module: Module, store: Store, ticker: EpochTicker, limits: Limits) -> None:
        self._store = store
        self._ticker = ticker
        self._limits = limits
        self._busy = threading.Lock()
        self._trapped = False
        try:
            with ticker as owed:
                store.set_epoch_deadline(limits.ticks + owed)
                self._instance = Instance(store, module, [])
        except Trap as trap:
            raise self._explained("start", trap) from trap
        except WasmtimeError as error:
            raise WasmRejected(f"cannot be instantiated within its limits: {error}") from error
        exports = self._instance.exports(store)
        self._functions = {
            name: export
            for name, export in ((each.name, exports[each.name]) for each in module.exports)
            if isinstance(export, Func)
        }
        memory = exports["memory"] if "memory" in {each.name for each in module.exports} else None
        self._memory = memory if isinstance(memory, Memory) else None

    @cached_property
    def memory(self) -> WasmMemoryManager:
        """The manager of this instance's memory. Raises WasmRejected where the module exports no memory, `allocate`
        and `deallocate`."""
        if self._memory is None or not {"allocate", "deallocate"} <= self._functions.keys():
            raise WasmRejected("the module does not export memory, allocate and deallocate")
        return WasmMemoryManager(self._store, self._memory, self.call)

    def call(self, function: str, *arguments: float) -> float | None:
        """Runs an exported function to its end, without the GIL. Whole-number results come as signed numbers, as
        WebAssembly's are.

        Raises WasmRejected (no such function, or other parameters), WasmDeadlineExceeded, WasmTrapped, WasmBusy.
        """
        chosen = self._functions.get(function)
        if chosen is None:
            raise WasmRejected(f"the module exports no function {function}")
        if not self._busy.acquire(blocking=False):
            raise WasmBusy(f"{function} was called while another thread is inside this instance")
        try:
            if self._trapped:
                raise WasmTrapped(f"{function} was called on an instance that has trapped before")
            with self._ticker as owed:
                self._store.set_epoch_deadline(self._limits.ticks + owed)
                result: float | None = chosen(self._store, *arguments)
        except Trap as trap:
            self._trapped = True
            raise self._explained(function, trap) from trap
        except (WasmtimeError, TypeError) as error:
            raise WasmRejected(f"{function}: {error}") from error
        finally:
            self._busy.release()
        return result

    def _explained(self, function: str, trap: Trap) -> WasmDeadlineExceeded | WasmTrapped:
        if trap.trap_code is TrapCode.INTERRUPT:
            return WasmDeadlineExceeded(function, self._limits.deadline)
        reason = trap.trap_code.name.lower().replace("_", " ") if trap.trap_code else trap.message
        return WasmTrapped(f"{function} trapped: {reason}")
