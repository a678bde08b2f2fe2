"""The services, over connections of our own."""

from cortex_gateway.adapters.pool.pool import ConnectionPool

__all__ = ["ConnectionPool"]
