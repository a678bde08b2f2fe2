"""Who may ask how often: fixed windows, sliding windows and token buckets, in memory here, shared by Redis in
`cortex_core.ratelimit.redis` (extra `redis`). Standard library only."""

from cortex_core.ratelimit.errors import (
    LimiterUnavailable,
)
from cortex_core.ratelimit.hooks import (
    LeaseDetails,
    LimiterHooks,
    OutageDetails,
    RefusalDetails,
)
from cortex_core.ratelimit.leased import (
    LeasedLimiter,
)
from cortex_core.ratelimit.limiter import (
    Decision,
    Demand,
    Limiter,
)
from cortex_core.ratelimit.memory import (
    RateLimiter,
)
from cortex_core.ratelimit.policies import (
    FixedWindow,
    Policy,
    SlidingWindow,
    TokenBucket,
)

__all__ = [
    "Decision",
    "Demand",
    "FixedWindow",
    "LeaseDetails",
    "LeasedLimiter",
    "Limiter",
    "LimiterHooks",
    "LimiterUnavailable",
    "OutageDetails",
    "Policy",
    "RateLimiter",
    "RefusalDetails",
    "SlidingWindow",
    "TokenBucket",
]
