"""The chassis: the only place that knows FastAPI and uvicorn. A service gives it settings, use cases and routes."""

from cortex_core.chassis.app import create_app, make_platform, use_cases
from cortex_core.chassis.client import Reply, ServiceClient, UpstreamTimeout, UpstreamUnavailable, outgoing_headers
from cortex_core.chassis.consumers import Consumers, consume, hear, on
from cortex_core.chassis.openapi import problems
from cortex_core.chassis.platform import Platform, relaying
from cortex_core.chassis.problems import Answered, Problem, respond
from cortex_core.chassis.server import CortexHttpServer, serve
from cortex_core.chassis.settings import Config, development, service_config

__all__ = [
    "Answered",
    "Config",
    "Consumers",
    "CortexHttpServer",
    "Platform",
    "Problem",
    "Reply",
    "ServiceClient",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "consume",
    "create_app",
    "development",
    "hear",
    "make_platform",
    "on",
    "outgoing_headers",
    "problems",
    "relaying",
    "respond",
    "serve",
    "service_config",
    "use_cases",
]
