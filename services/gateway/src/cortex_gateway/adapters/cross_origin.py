"""What pages of other origins may do here, where any may: ask with what a client of this API sends, read what it is
told. No cookies: credentials are headers here, and a page has to have them."""

from collections.abc import Collection
from typing import Final

from cortex_core.asgi import CorsPolicy

_ASKED_WITH: Final = (
    *("Authorization", "X-API-Key", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Range"),
    *("X-Request-Id", "X-Request-Deadline", "X-Cortex-Tenant", "traceparent", "tracestate"),
)
_SHOWN: Final = (
    *("X-Request-Id", "ETag", "Location", "Content-Location", "Content-Disposition", "Allow", "Age", "Cache-Status"),
    *("RateLimit", "RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    *("Retry-After", "WWW-Authenticate", "Idempotency-Replayed", "X-Cortex-Behind", "Cortex-Policy"),
)


def cors_policy(origins: Collection[str]) -> CorsPolicy:
    """For `origins`, checked by the settings."""
    return CorsPolicy(origins, headers=_ASKED_WITH, exposed=_SHOWN)
