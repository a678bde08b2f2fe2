"""The services, over aiohttp."""

from cortex_gateway.adapters.upstreams import AiohttpUpstreams

__all__ = ["AiohttpUpstreams"]
