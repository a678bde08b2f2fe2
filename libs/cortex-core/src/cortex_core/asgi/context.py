"""Request context: what the headers say of the request's surroundings becomes the kernel's context.

Owns `X-Request-Id` (in where it is safe to repeat, made anew otherwise, out always), `traceparent`,
`X-Request-Deadline` (milliseconds left) and, where the caller is trusted to say it, `X-Cortex-Tenant`. A header that
makes no sense is as good as none; only a tenant that is not served here is refused, by `KnownTenant` further in, where
an answer can be given: as nobody's, the work would be the wrong tenant's.
"""

import re
import time
from collections.abc import Callable, Collection

from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send, header
from cortex_core.kernel.context import DEFAULT_TENANT, Context, TraceContext, use_context
from cortex_core.kernel.errors import CortexError, Kind
from cortex_core.kernel.ids import new_id

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MILLISECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class UnknownTenant(CortexError):
    """`X-Cortex-Tenant` names nobody served here."""

    code, kind = "tenant.unknown", Kind.INVALID


class RequestContext:
    """`tenants` are those that `X-Cortex-Tenant` may name; None: the header is not believed at all. Believe it only
    where nobody but our own services can connect."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        tenants: Collection[str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.tenants = tenants
        self.monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)

        context = self._context(scope)
        request_id = (context.request_id or "").encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.accept"}:
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        with use_context(context):
            await self.app(scope, receive, send_with_id)

    def _context(self, scope: Scope) -> Context:
        headers = scope["headers"]
        request_id = header(headers, b"x-request-id")
        tenant = header(headers, b"x-cortex-tenant") if self.tenants is not None else None
        if tenant is not None and tenant not in (self.tenants or ()):
            scope["cortex.unknown_tenant"] = tenant = None
        left = header(headers, b"x-request-deadline")
        return Context(
            trace=TraceContext.parse(header(headers, b"traceparent"), header(headers, b"tracestate") or ""),
            tenant=tenant or DEFAULT_TENANT,
            request_id=request_id if request_id and _SAFE_ID.fullmatch(request_id) else new_id("req"),
            deadline=self.monotonic() + int(left) / 1000 if left and _MILLISECONDS.fullmatch(left) else None,
        )


class KnownTenant:
    """Raises UnknownTenant where `RequestContext` found a tenant that is not served here."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "cortex.unknown_tenant" in scope:
            raise UnknownTenant("the tenant that X-Cortex-Tenant names is not served here")
        await self.app(scope, receive, send)
