"""HTTP pieces as plain ASGI classes: one class a file, no framework. The standard library, but for what says so."""

from cortex_core.asgi.access_log import (
    AccessLog,
    ResponseDetails,
)
from cortex_core.asgi.body_limit import (
    BadLength,
    BodyLimit,
    RequestTooLarge,
)
from cortex_core.asgi.client_address import (
    ClientAddress,
)
from cortex_core.asgi.compression import (
    Compression,
    CompressionDetails,
    Load,
    Precompressed,
    Pressure,
)
from cortex_core.asgi.context import (
    KnownTenant,
    RequestContext,
    UnknownTenant,
)
from cortex_core.asgi.cors import (
    Cors,
    CorsPolicy,
)
from cortex_core.asgi.csp import (
    ContentSecurityPolicy,
    CSPBuilder,
    new_nonce,
)
from cortex_core.asgi.csp_reports import (
    CspReports,
    CspViolation,
)
from cortex_core.asgi.decompression import (
    BadEncoding,
    Decompression,
    UnsupportedEncoding,
)
from cortex_core.asgi.head import (
    HeadFromGet,
)
from cortex_core.asgi.header_policy import (
    HeaderPolicy,
    Hsts,
)
from cortex_core.asgi.http_cache import (
    CachePolicy,
    CacheRule,
    HttpCache,
    MemoryCacheStore,
)
from cortex_core.asgi.limit_keys import (
    KeyFunction,
    api_key_key,
    by_api_key,
    by_client,
    by_key,
    by_route,
    by_tenant,
    by_user,
    user_key,
)
from cortex_core.asgi.own_pages import (
    ForeignPage,
    OwnPages,
)
from cortex_core.asgi.problems import (
    Answer,
    Answered,
    Problems,
    problem,
)
from cortex_core.asgi.rate_limit import (
    RateLimit,
    RateLimited,
    Rule,
    limit_headers,
)
from cortex_core.asgi.security_headers import (
    SecurityHeaders,
)

__all__ = [
    "AccessLog",
    "Answer",
    "Answered",
    "BadEncoding",
    "BadLength",
    "BodyLimit",
    "CSPBuilder",
    "CachePolicy",
    "CacheRule",
    "ClientAddress",
    "Compression",
    "CompressionDetails",
    "ContentSecurityPolicy",
    "Cors",
    "CorsPolicy",
    "CspReports",
    "CspViolation",
    "Decompression",
    "ForeignPage",
    "HeadFromGet",
    "HeaderPolicy",
    "Hsts",
    "HttpCache",
    "KeyFunction",
    "KnownTenant",
    "Load",
    "MemoryCacheStore",
    "OwnPages",
    "Precompressed",
    "Pressure",
    "Problems",
    "RateLimit",
    "RateLimited",
    "RequestContext",
    "RequestTooLarge",
    "ResponseDetails",
    "Rule",
    "SecurityHeaders",
    "UnknownTenant",
    "UnsupportedEncoding",
    "api_key_key",
    "by_api_key",
    "by_client",
    "by_key",
    "by_route",
    "by_tenant",
    "by_user",
    "limit_headers",
    "new_nonce",
    "problem",
    "user_key",
]
