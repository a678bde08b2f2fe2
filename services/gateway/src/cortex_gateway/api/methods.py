"""A method that a path does not serve: 405 that says which ones it does, and OPTIONS, which asks just that."""

from fastapi.responses import Response

from cortex_core.asgi.types import Scope
from cortex_core.chassis import respond
from cortex_gateway.routes import MethodNotAllowed


def not_served(error: MethodNotAllowed, scope: Scope) -> Response:
    allow = {"Allow": ", ".join(sorted({*error.allow, "OPTIONS"}))}
    if scope["method"] == "OPTIONS":
        return Response(status_code=204, headers=allow)
    return respond(error, scope["path"], allow)
