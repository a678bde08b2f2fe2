"""The order service over HTTP."""

from cortex_order.api.routes import router

__all__ = ["router"]
