"""The circuit breaker and its windows."""

from cortex_core.resilience.breaker.circuit import CircuitBreaker
from cortex_core.resilience.breaker.errors import CircuitOpenError
from cortex_core.resilience.breaker.failures import is_failure
from cortex_core.resilience.breaker.permit import Permit
from cortex_core.resilience.breaker.phases import CircuitStatus
from cortex_core.resilience.breaker.windows import CountWindow, TimeWindow, WindowCounts

__all__ = [
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitStatus",
    "CountWindow",
    "Permit",
    "TimeWindow",
    "WindowCounts",
    "is_failure",
]
