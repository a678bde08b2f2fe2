"""The chassis: the only place that knows FastAPI and uvicorn. A service gives it settings, use cases and routes."""

from cortex_core.chassis.actor_reporter import ActorReporter
from cortex_core.chassis.app import create_app, make_platform, use_cases
from cortex_core.chassis.cached_client import CachedClient
from cortex_core.chassis.client import Reply, ServiceClient, outgoing_headers
from cortex_core.chassis.consumers import Consumers, consume, hear, on
from cortex_core.chassis.edge import Edge, LimiterReporter, Limits
from cortex_core.chassis.entry import serve
from cortex_core.chassis.http_protocol import HttpProtocol, protocol_class
from cortex_core.chassis.openapi import problems
from cortex_core.chassis.platform import Platform
from cortex_core.chassis.problems import Answered, Problem, respond
from cortex_core.chassis.projecting import projecting, projector_of
from cortex_core.chassis.relaying import relaying, trimming
from cortex_core.chassis.resilience import Resilience
from cortex_core.chassis.server import CortexHttpServer
from cortex_core.chassis.settings import Config, development, service_config
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
    "ActorReporter",
    "Answered",
    "CachedClient",
    "Config",
    "Consumers",
    "CortexHttpServer",
    "Edge",
    "HttpProtocol",
    "LimiterReporter",
    "Limits",
    "OutOfTime",
    "Platform",
    "Problem",
    "Reply",
    "Resilience",
    "ServiceClient",
    "Unwell",
    "Upstream",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "consume",
    "create_app",
    "development",
    "hear",
    "is_hurried",
    "make_platform",
    "on",
    "outgoing_headers",
    "problems",
    "projecting",
    "projector_of",
    "protocol_class",
    "relaying",
    "respond",
    "serve",
    "service_config",
    "trimming",
    "use_cases",
]
