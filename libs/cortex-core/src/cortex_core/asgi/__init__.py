"""HTTP pieces as plain ASGI classes: one class a file, no framework, standard library only."""

from cortex_core.asgi.access_log import AccessLog, ResponseDetails
from cortex_core.asgi.body_limit import BodyLimit, RequestTooLarge
from cortex_core.asgi.context import KnownTenant, RequestContext, UnknownTenant

__all__ = [
    "AccessLog",
    "BodyLimit",
    "KnownTenant",
    "RequestContext",
    "RequestTooLarge",
    "ResponseDetails",
    "UnknownTenant",
]
