"""The sandbox: what a guest may use, and how it is stopped.

Owns the engine's configuration (features nobody here needs are off: what is off cannot be attacked) and the epoch that
ends a call at its deadline: compiled code compares a counter at each loop's head and each function's start, which costs
far less than fuel, which counts every instruction. Refuses to know what runs. Compilation itself has no meter:
`Limits.module_bytes` keeps it short. Next: compiling foreign modules in a limited child process.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wasmtime import Config, Engine

PAGE: Final = 1 << 16
TICK: Final = 0.01

_REFUSED: Final = (
    "wasm_memory64",
    "wasm_threads",
    "shared_memory",
    "wasm_multi_memory",
    "wasm_relaxed_simd",  # its results differ between processors
    "wasm_exceptions",
    "wasm_gc",
    "wasm_function_references",
    "wasm_tail_call",
    "wasm_custom_page_sizes",
    "wasm_wide_arithmetic",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one instance may take. `deadline` (seconds) is for one call, and is kept to the next tick below it plus what
    the scheduler adds: with the default an endless loop ends within 250 ms. `stack_bytes` is for guest frames."""

    memory_pages: int = 1024
    deadline: float = 0.2
    stack_bytes: int = 256 << 10
    table_elements: int = 10_000
    module_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        if self.deadline < TICK:
            raise ValueError(f"a deadline below one tick ({TICK} s) would end every call, not {self.deadline}")
        for name in ("memory_pages", "stack_bytes", "table_elements", "module_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")

    @property
    def memory_bytes(self) -> int:
        return self.memory_pages * PAGE

    @property
    def ticks(self) -> int:
        """Epochs a call may live: after the last of them its next check traps."""
        return int(self.deadline / TICK)


def sandboxed_engine(limits: Limits) -> Engine:
    """An engine for guests under `limits`: SIMD128 and the settled small features, nothing else."""
    config = Config()
    config.wasm_simd = True
    config.epoch_interruption = True
    config.max_wasm_stack = limits.stack_bytes
    config.parallel_compilation = False  # a pool of compiler threads costs more than it saves on modules this small
    for feature in _REFUSED:
        setattr(config, feature, False)
    return Engine(config)


class EpochTicker:
    """Calls `advance` once for every `tick` seconds that pass while at least one `with` block is open.

    From one daemon thread, which goes away after `idle` seconds without any: an idle process does not wake up for it,
    and a dropped engine is not held by it. Ticks that come late are made up for, so that a busy machine does not
    lengthen deadlines tick by tick; a block is given the number of those still owed when it opens, so that they do not
    shorten its own.
    """

    def __init__(self, advance: Callable[[], None], *, tick: float = TICK, idle: float = 1.0) -> None:
        self._advance = advance
        self._tick = tick
        self._idle = idle
        self._wake = threading.Condition()
        self._open = 0
        self._resting = True
        self._due = 0.0  # when the next tick is, on the monotonic clock
        self._thread: threading.Thread | None = None

    def __enter__(self) -> int:
        with self._wake:
            now = time.monotonic()
            self._open += 1
            if self._thread is None or not self._thread.is_alive():  # not alive: this process is a fork
                self._resting, self._due = False, now + self._tick
                self._thread = threading.Thread(target=self._run, name="wasm-epoch", daemon=True)
                self._thread.start()
            elif self._resting:
                self._resting, self._due = False, now + self._tick
                self._wake.notify()
            return max(0, math.ceil((now - self._due) / self._tick))

    def __exit__(self, *error: object) -> None:
        with self._wake:
            self._open -= 1

    def _run(self) -> None:
        while self._waits_for_work():
            time.sleep(max(0.0, self._due - time.monotonic()))
            with self._wake:
                while self._due <= time.monotonic():
                    self._advance()
                    self._due += self._tick

    def _waits_for_work(self) -> bool:
        """True once a block is open; False, having said goodbye under the lock, when none was for `idle` seconds."""
        with self._wake:
            if self._open > 0:
                return True
            self._resting = True
            if self._wake.wait_for(lambda: not self._resting, self._idle):
                return True
            self._thread = None
            return False
