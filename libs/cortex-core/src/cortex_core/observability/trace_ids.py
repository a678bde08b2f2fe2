"""Ids of traces and spans: from a generator of this process, started by the system's randomness and anew after a fork.

Seeding `random` or forking must not repeat a trace, and system calls at every request are too many.
"""

import os
import random
import threading
from typing import Final

from opentelemetry.sdk.trace.id_generator import IdGenerator

from cortex_core.kernel.context import TraceContext

_random: Final = random.Random(os.urandom(64))  # noqa: S311 - ids are no secrets; they must differ
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(64)))

_NEITHER_ZERO: Final = 1 << 64 | 1
"""Of a trace's and a span's id in one number: the bits by which neither is zero, which W3C keeps for "none"."""


def new_trace_id() -> int:
    return _random.getrandbits(128) or 1


def new_span_id() -> int:
    return _random.getrandbits(64) or 1


def new_place(bound: int) -> TraceContext:
    """Where a trace begins; it is sampled where the lower half of its id is below `bound`."""
    ids = f"{_random.getrandbits(192) | _NEITHER_ZERO:048x}"
    return TraceContext(ids[:32], ids[32:], int(ids[16:32], 16) < bound)


def place_under(parent: TraceContext) -> TraceContext:
    """Where a child of `parent` stands, which follows its decision."""
    return TraceContext(parent.trace_id, f"{new_span_id():016x}", parent.sampled, parent.state)


class _Next(threading.local):
    trace = 0


class TraceIds(IdGenerator):
    """For the SDK. `next.trace` is the id of the trace that this thread begins now: by it was decided whether it is
    sampled."""

    def __init__(self) -> None:
        self.next = _Next()

    def generate_trace_id(self) -> int:
        chosen, self.next.trace = self.next.trace, 0
        return chosen or new_trace_id()

    def generate_span_id(self) -> int:
        return new_span_id()

    def is_trace_id_random(self) -> bool:
        return True
