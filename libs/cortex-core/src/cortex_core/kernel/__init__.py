"""L0: what everything else stands on. Standard library only; knows no cog, no transport, no service."""

from cortex_core.kernel.clock import Clock, SystemClock, Timer
from cortex_core.kernel.context import Context, TraceContext, current, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.facts import Delivered
from cortex_core.kernel.ids import new_id, uuid7
from cortex_core.kernel.principal import Principal

__all__ = [
    "Clock",
    "Context",
    "CortexError",
    "Delivered",
    "Kind",
    "Principal",
    "SystemClock",
    "Timer",
    "TraceContext",
    "current",
    "new_id",
    "use_context",
    "uuid7",
]
