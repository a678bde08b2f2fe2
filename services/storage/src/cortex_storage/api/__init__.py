"""Routes and their models: HTTP in, a use case, HTTP out."""

from cortex_storage.api.routes import router

__all__ = ["router"]
