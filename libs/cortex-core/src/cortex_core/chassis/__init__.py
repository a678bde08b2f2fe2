"""The chassis: the only place that knows FastAPI and uvicorn. A service gives it settings, use cases and routes.

What one service has a use for is imported from its module: `actor_reporter`."""

from cortex_core.chassis.app import create_app, use_cases
from cortex_core.chassis.assembly import make_platform
from cortex_core.chassis.authentication import (
    ProtectedRoute,
    make_authenticator,
    make_internal_tokens,
    requires,
    session_of,
)
from cortex_core.chassis.cached_client import CachedClient
from cortex_core.chassis.client import Reply, ServiceClient, outgoing_headers
from cortex_core.chassis.consumers import Consumers, consume, hear, on
from cortex_core.chassis.edge import Edge, LimiterReporter, Limits
from cortex_core.chassis.entry import serve
from cortex_core.chassis.exporter import exporting
from cortex_core.chassis.http_protocol import ConnectionLimits, HttpProtocol, guarded, protocol_class
from cortex_core.chassis.openapi import problems
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.problems import Answered, Problem, respond
from cortex_core.chassis.projecting import projecting, projector_of
from cortex_core.chassis.relaying import relaying, trimming
from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.server import CortexHttpServer, bind
from cortex_core.chassis.settings import Config, development, service_config
from cortex_core.chassis.strict_json import DuplicateMember, MalformedJson, StrictRoute, UnsupportedMediaType
from cortex_core.chassis.upstream import (
    UNWELL,
    OutOfTime,
    Unwell,
    Upstream,
    UpstreamTimeout,
    UpstreamUnavailable,
    is_hurried,
)

__all__ = [
    "UNWELL",
    "Answered",
    "CachedClient",
    "Config",
    "ConnectionLimits",
    "Consumers",
    "CortexHttpServer",
    "DuplicateMember",
    "Edge",
    "HttpProtocol",
    "LimiterReporter",
    "Limits",
    "MalformedJson",
    "OutOfTime",
    "Platform",
    "Problem",
    "ProtectedRoute",
    "Reply",
    "Resilience",
    "ServiceClient",
    "StrictRoute",
    "UnsupportedMediaType",
    "Unwell",
    "Upstream",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "bind",
    "consume",
    "create_app",
    "development",
    "exporting",
    "guarded",
    "hear",
    "is_hurried",
    "make_authenticator",
    "make_internal_tokens",
    "make_platform",
    "on",
    "outgoing_headers",
    "problems",
    "projecting",
    "projector_of",
    "protocol_class",
    "relaying",
    "requires",
    "respond",
    "serve",
    "service_config",
    "session_of",
    "trimming",
    "use_cases",
]
