"""HTTP caching (RFC 9111, 9211, 5861): the middleware, its stores, and the rules without a transport.

The Redis store is `cortex_core.asgi.http_cache.redis`; it needs the extra `redis`.
"""

from cortex_core.asgi.http_cache.answer import Answer
from cortex_core.asgi.http_cache.cache import HttpCache
from cortex_core.asgi.http_cache.errors import NotCached, RefreshFailed, SharedAnswerFailed, SharedAnswerTimeout
from cortex_core.asgi.http_cache.filling import Filler, Filling
from cortex_core.asgi.http_cache.hooks import (
    AnswerDetails,
    CacheErrorDetails,
    CacheHooks,
    InvalidatedDetails,
    LoggingHooks,
    Outcome,
    StoredDetails,
)
from cortex_core.asgi.http_cache.landing import Tags, tag_key
from cortex_core.asgi.http_cache.memory import MemoryCacheStore
from cortex_core.asgi.http_cache.policy import CachePolicy, CacheRule
from cortex_core.asgi.http_cache.store import CacheStore, CacheUnavailable, Found, Put, Ticket

__all__ = [
    "Answer",
    "AnswerDetails",
    "CacheErrorDetails",
    "CacheHooks",
    "CachePolicy",
    "CacheRule",
    "CacheStore",
    "CacheUnavailable",
    "Filler",
    "Filling",
    "Found",
    "HttpCache",
    "InvalidatedDetails",
    "LoggingHooks",
    "MemoryCacheStore",
    "NotCached",
    "Outcome",
    "Put",
    "RefreshFailed",
    "SharedAnswerFailed",
    "SharedAnswerTimeout",
    "StoredDetails",
    "Tags",
    "Ticket",
    "tag_key",
]
