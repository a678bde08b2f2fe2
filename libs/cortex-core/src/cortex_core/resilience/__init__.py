"""Calls that survive trouble: retry now; breaker, bulkhead, timeout and their composition next. Stdlib only."""

from cortex_core.resilience.hooks import OnRetry, RetryDetails
from cortex_core.resilience.retry import RetryExecutor, is_transient

__all__ = ["OnRetry", "RetryDetails", "RetryExecutor", "is_transient"]
